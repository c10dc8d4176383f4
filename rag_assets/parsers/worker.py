"""The process that parses documents: one at a time, within limits, until its input ends.

It receives the bytes, a file name and the class of a parser, and answers with text. It has no settings, no secrets and
no open files. A message in either direction is a header, one line of JSON, followed by the announced number of bytes.
"""

import importlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.base import AnyParser
from rag_assets.parsers.parsed_text import require_text_size
from rag_assets.parsers.registry import parse_with

READY = b"!"
"""Sent once, when the process is ready for the first document."""

_SPARE_FILES = 64
_MOST_FILE_BYTES = 256 * 1024 * 1024


def main() -> None:
    """Serve until the input ends. Arguments: maximum bytes of memory, seconds, and bytes of text."""
    memory_bytes, seconds, text_bytes = (int(argument) for argument in sys.argv[1:4])
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # The output of a library must not mix with the answers, and may quote the document.
    with Path(os.devnull).open("r+b") as nothing:
        for descriptor in (0, 1, 2):
            os.dup2(nothing.fileno(), descriptor)
    if sys.platform == "linux":  # other systems refuse it, or give it another meaning
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_SPARE_FILES, _SPARE_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE_BYTES, _MOST_FILE_BYTES))
    parsers: dict[tuple[str, str], AnyParser] = {}
    _limit_processor_time(seconds)
    answers.write(READY)
    answers.flush()
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["num_bytes"])
        _limit_processor_time(seconds)
        module, name = request["parser"]
        if (module, name) not in parsers:
            parsers[module, name] = getattr(importlib.import_module(module), name)()
        answer, text = _answer(parsers[module, name], data, request["filename"], text_bytes)
        del data
        send(answers, answer, text)


def _limit_processor_time(seconds: int) -> None:
    """Give the next document its time. At the limit the kernel ends this process, even if it hangs."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + seconds + 1
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(
        resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most)
    )


def _answer(parser: AnyParser, data: bytes, filename: str, text_bytes: int) -> tuple[dict[str, Any], bytes]:
    try:
        parsed = parse_with(parser, data, filename)
        text = parsed.text.encode()
        require_text_size(len(text), text_bytes)
    except DocumentUnreadable as error:
        return {"reason": error.reason, "detail": error.detail}, b""
    except MemoryError:
        return {"reason": "too_large", "detail": "There is not enough memory to parse it."}, b""
    said = parsed.metadata
    return {"title": parsed.title, "metadata": said.to_json(), "left_out": said.left_out}, text


def send(stream: BinaryIO, header: dict[str, Any], data: bytes) -> None:
    """Write one message."""
    stream.write(json.dumps(header | {"num_bytes": len(data)}).encode() + b"\n")
    stream.write(data)
    stream.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all processes; our parent ends us
    main()
