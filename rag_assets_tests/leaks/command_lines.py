"""The command lines of all processes of a test, which everyone on the machine can read."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from rag_assets_tests.leaks.scanner import canaries_in

_PAUSE_SECONDS = 0.1


@contextlib.contextmanager
def watched_command_lines() -> Iterator[dict[str, set[str]]]:
    """Look at them again and again. Yield command line -> numbers of canaries, complete after the block."""
    found: dict[str, set[str]] = {}
    ended = threading.Event()
    ours = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0].encode()

    def watch() -> None:
        seen: set[bytes] = set()
        while not ended.wait(_PAUSE_SECONDS):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if (line := path.read_bytes()) not in seen:
                        seen.add(line)
                        numbers = canaries_in(line)
                        if numbers and ours in path.with_name("environ").read_bytes():
                            found[line.replace(b"\0", b" ").decode(errors="replace")] = numbers

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
