"""A terminal of 100 columns for a shell, and the text that it shows at the end: without colors and replaced lines."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

COLUMNS = 100
_ROWS = 50
_SECONDS = 300
_DONE = "\x1eready\x1e"
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CLEAR_LINE = "\x1b[2K"


def record(
    before: Sequence[str], commands: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> str:
    """Type commands into a shell, and return them with what the terminal shows.

    Args:
        before: typed first, and not returned.
    """
    shell = _Shell(folder, environment)
    try:
        for command in before:
            shell.type(command)
        shown = [f"$ {command}\n{shell.type(command)}" for command in commands]
    finally:
        shell.close()
    return "".join(shown)


def shown_text(output: str) -> str:
    """Return the text of a terminal after this output. Lines change at the bottom only, and long ones are broken."""
    lines: list[str] = []
    for line in output.replace("\r\n", "\n").split("\n"):
        # A live line is cleared before it is written again.
        last = line.rpartition(_CLEAR_LINE)[2]
        text = _CODES.sub("", last.rpartition("\r")[2]).rstrip()
        lines += [text[start : start + COLUMNS] for start in range(0, max(1, len(text)), COLUMNS)]
    return "\n".join(lines)


class _Shell:
    """A shell without a prompt of its own: it says when a command has ended."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe(
                "bash",
                ["bash", "--norc", "--noprofile", "--noediting"],
                {**environment, "PS1": "", "PS2": ""},
            )
        size = struct.pack("HHHH", _ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        modes = termios.tcgetattr(self._terminal)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self._terminal, termios.TCSANOW, modes)
        self.type("true")

    def type(self, command: str) -> str:
        """Run one command, and return what it shows."""
        # The marker is typed in another form, so that an echo of the line does not contain it.
        os.write(self._terminal, f"{command}\nprintf '\\x1eready\\x1e'\n".encode())
        return shown_text(self._read_until_done())

    def _read_until_done(self) -> str:
        output, deadline = b"", time.monotonic() + _SECONDS
        while _DONE.encode() not in output:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._terminal], [], [], left)[0]:
                raise TimeoutError(f"the command did not end:\n{output.decode(errors='replace')}")
            output += os.read(self._terminal, 65_536)
        return output.decode().partition(_DONE)[0]

    def close(self) -> None:
        os.kill(self._pid, signal.SIGHUP)
        os.close(self._terminal)
        os.waitpid(self._pid, 0)
