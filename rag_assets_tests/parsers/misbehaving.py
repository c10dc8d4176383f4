"""Parsers with the effects of hostile documents on a library. They run in the parsing processes."""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time

from rag_assets.records import ParsedDocument


class _Parser:
    version = "1"
    suffixes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return type(self).__name__

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        raise NotImplementedError


class Obedient(_Parser):
    """Works properly, and names its process."""

    num_parsed = 0

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        Obedient.num_parsed += 1
        return ParsedDocument(f"{data.decode()} in {filename} by {os.getpid()}", title="A title")


class Describing(_Parser):
    """Returns the metadata in its document."""

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        return ParsedDocument("text", metadata=json.loads(data))


class Busy(_Parser):
    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        while True:
            pass


class Asleep(_Parser):
    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        time.sleep(3600)
        raise AssertionError


class Greedy(_Parser):
    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        held = []
        while True:
            held.append(bytearray(10_000_000))


class Crashing(_Parser):
    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        ctypes.string_at(0)
        raise AssertionError


class Exiting(_Parser):
    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        os._exit(0)


class Endless(_Parser):
    """Returns far more text than it received."""

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        return ParsedDocument("many words " * 1_000_000)


class Talking(_Parser):
    """Prints something with the form of an answer."""

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        print('{"title": "forged", "num_bytes": 0}', flush=True)
        os.write(1, b'{"title": "forged", "num_bytes": 0}\n')
        sys.stderr.write("a secret of the document")
        return ParsedDocument("the true text")


class Curious(_Parser):
    """Reports its view of the parent process."""

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        variables = " ".join(sorted(os.environ))
        descriptors = " ".join(os.listdir("/proc/self/fd"))
        return ParsedDocument(f"variables: {variables}\ndescriptors: {descriptors}\nfolder: {os.getcwd()}")


class Forging(_Parser):
    """Writes an answer itself, to every descriptor."""

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        for descriptor in range(3, 20):
            with contextlib.suppress(OSError):
                os.write(descriptor, data)
        os._exit(0)


class Killed(_Parser):
    """Is killed as by a system short of memory."""

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class SecondFails(_Parser):
    """Crashes in a used process only."""

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        if Obedient.num_parsed:
            ctypes.string_at(0)
        return ParsedDocument("fine in a new process")
