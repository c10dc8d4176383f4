"""Parsing in disposable processes: a malicious document harms only itself.

Here belong the limits and the handling of a process beyond them. A hang, a crash or a bomb ends the process.
The next document gets a new one. There is one process per processor, up to eight.
"""

import contextlib
import json
import os
import select
import selectors
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, get_args

from rag_assets.document_metadata.normalization import bounded_left_out, normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.environment import worker_environment
from rag_assets.errors import DocumentUnreadable, ParserUnavailable, QuarantineReason
from rag_assets.latencies import Latencies
from rag_assets.parsers import worker
from rag_assets.parsers.base import AnyParser
from rag_assets.parsers.parsed_text import ParsedText
from rag_assets.parsers.worker import READY

_WALL_TIME_FACTOR = 5
_START_SECONDS = 120
_READ_BYTES = 1 << 20
_MOST_BYTES_SAID = 2_000
_SENT_BY_OTHERS = frozenset((signal.SIGKILL, signal.SIGTERM, signal.SIGHUP))
_MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """Limits for one document.

    Attributes:
        seconds: of processor time, independent of the load of the machine. The limit of waiting is five times as long.
        memory_bytes: address space of the parsing process.
        text_bytes: of the text, in UTF-8.
    """

    seconds: int = 60
    memory_bytes: int = 800_000_000
    text_bytes: int = 25_000_000


class ParseWorkers:
    """Parses documents in other processes. A process starts with its first document.

    Attributes:
        latencies: of the documents, with the start of their process, without waiting for a free one.
    """

    def __init__(self, limits: ParseLimits | None = None, num_workers: int | None = None) -> None:
        self.limits = limits or ParseLimits()
        self.latencies = Latencies()
        self.num_workers = num_workers or min(_num_processors(), _MOST_WORKERS)
        self._threads = ThreadPoolExecutor(self.num_workers, "parse")
        self._own = threading.local()
        self._all: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, parser: AnyParser, data: bytes, filename: str) -> "Future[ParsedText]":
        """Parse a document as `parse_with` does.

        Returns:
            A future. It raises `DocumentUnreadable`, also for `too_slow`, `too_large` and `crashed`.
        """
        return self._threads.submit(self._timed_parse, parser, data, filename)

    def _timed_parse(self, parser: AnyParser, data: bytes, filename: str) -> ParsedText:
        with self.latencies.timed():
            return self._parse(parser, data, filename)

    def _parse(self, parser: AnyParser, data: bytes, filename: str) -> ParsedText:
        own = getattr(self._own, "worker", None)
        if own is not None and own.alive:
            try:
                return own.parse(parser, data, filename)
            except DocumentUnreadable as error:
                # The cause may be an earlier document of this process: try again in a new one.
                if error.reason not in ("too_large", "crashed"):
                    raise
        own = self._own.worker = self._new_worker()
        return own.parse(parser, data, filename)

    def _new_worker(self) -> "_Worker":
        with self._lock:
            if self._closed:
                raise CancelledError
            new = _Worker(self.limits)
            self._all = [one for one in self._all if one.alive] + [new]
            return new

    def close(self) -> None:
        """End all processes at once, with their work."""
        with self._lock:
            self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for one in self._all:
            one.kill()
        self._threads.shutdown(wait=True)
        for one in self._all:
            one.end()


class _Worker:
    """One process, used by one thread."""

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._process = subprocess.Popen(  # noqa: S603  our own module
            [
                sys.executable,
                "-m",
                worker.__name__,
                *(str(limit) for limit in (limits.memory_bytes, limits.seconds, limits.text_bytes)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=worker_environment(),
            cwd="/",
            bufsize=0,
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout) if pipe is not None]
        self._requests, self._answers = (pipe.fileno() for pipe in self._pipes)
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
        # Until the process reports that it is ready, no failure is the fault of a document.
        if (
            not select.select([self._answers], [], [], _START_SECONDS)[0]
            or os.read(self._answers, 1) != READY
        ):
            self.end()
            raise ParserUnavailable(
                f"the parsing process does not start ({_name_of(self._process.returncode)}); "
                f"run `{sys.executable} -m {worker.__name__} 800000000 60 1000` to see why"
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def parse(self, parser: AnyParser, data: bytes, filename: str) -> ParsedText:
        kind = type(parser)
        header = {
            "parser": [kind.__module__, kind.__qualname__],
            "filename": filename,
            "num_bytes": len(data),
        }
        try:
            answer, text = self._exchange(json.dumps(header).encode() + b"\n", data)
            if "reason" not in answer:
                return ParsedText(
                    text.decode(), _short(answer["title"]), parser.name, parser.version, _metadata_in(answer)
                )
            if answer["reason"] not in get_args(QuarantineReason):
                raise ValueError("no reason")
            error = DocumentUnreadable(answer["reason"], _short(answer["detail"]))
        # A process that a hostile document has taken over may answer anything.
        except (OSError, EOFError, ValueError, LookupError, TypeError, RecursionError) as problem:
            self.kill()
            raise self._lost(problem) from None
        if error.reason == "too_large":
            self.end()  # its memory is fragmented
        raise error

    def _exchange(self, header: bytes, data: bytes) -> tuple[dict[str, Any], bytes]:
        """Send the request and read the answer at the same time: neither side can buffer all of it."""
        deadline = time.monotonic() + self._limits.seconds * _WALL_TIME_FACTOR
        waiting = [memoryview(header), memoryview(data)]
        received = bytearray()
        end_of_header, expected = -1, sys.maxsize
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            selector.register(self._requests, selectors.EVENT_WRITE)
            while len(received) < expected:
                events = selector.select(max(deadline - time.monotonic(), 0))
                if not events:
                    raise TimeoutError
                for key, _ in events:
                    if key.fd == self._requests:
                        written = os.write(self._requests, waiting[0][:_READ_BYTES])
                        waiting[0] = waiting[0][written:]
                        if not waiting[0]:
                            waiting.pop(0)
                        if not waiting or not waiting[0]:
                            selector.unregister(self._requests)
                        continue
                    part = os.read(self._answers, _READ_BYTES)
                    if not part:
                        raise EOFError
                    received += part
                    if end_of_header < 0 and (end_of_header := received.find(b"\n")) >= 0:
                        answer = json.loads(received[:end_of_header])
                        expected = end_of_header + 1 + min(answer["num_bytes"], self._limits.text_bytes)
                    if end_of_header < 0 and len(received) > _READ_BYTES:
                        raise ValueError("no header")
        if len(received) > expected or any(waiting):
            raise ValueError("more than one answer, or one that came too early")
        return json.loads(received[:end_of_header]), bytes(received[end_of_header + 1 :])

    def _lost(self, error: Exception) -> DocumentUnreadable:
        """Return the error for a process that ended."""
        status = self._process.wait()
        self._close_pipes()
        if isinstance(error, TimeoutError) or status == -signal.SIGXCPU:
            detail = f"It takes more than {self._limits.seconds} s to parse. Split it or simplify it."
            return DocumentUnreadable("too_slow", detail, lasting=status == -signal.SIGXCPU)
        # Killed from outside, such as by a system short of memory. We kill it too, after a forged answer.
        killed = isinstance(error, EOFError) and -status in _SENT_BY_OTHERS
        detail = f"Parsing it ended the process ({_name_of(status)}). Open the file and save it again."
        return DocumentUnreadable("crashed", detail, lasting=not killed)

    def end(self) -> None:
        """Kill the process and release its resources."""
        self.kill()
        self._process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.close()


def _metadata_in(answer: dict[str, Any]) -> Metadata:
    """Return the metadata of an answer. It is bounded again, because a document may have written it."""
    said = normalized(dict(answer["metadata"]))
    return Metadata.of(dict(said.pairs), bounded_left_out(map(_short, answer["left_out"])))


def _short(text: object) -> str:
    if not isinstance(text, str) or len(text.encode()) > _MOST_BYTES_SAID:
        raise ValueError("no short text")
    return text


def _num_processors() -> int:
    """Return the number of processors available to this process."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _name_of(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"status {status}"
