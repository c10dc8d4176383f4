"""The process of a run, seen from the command: its start, its reports, its cancellation, its death."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Self

from rag_assets.refresh.outcome import Outcome
from rag_assets.refresh.result import RefreshResult, result_from

_MODULE = "rag_assets.defs.runs"
_TICK_SECONDS = 0.2
_END_SECONDS = 20
_LOG_BYTES = 20_000
_Report = dict[str, Any]


class RunProcess:
    """Starts the process, and cancels its run on Ctrl-C and SIGTERM. The second one kills it.

    If this process dies, the other one notices, and cancels the run itself.

    Args:
        verbose: whether the log of Dagster goes to standard error.
        home: working folder of the process. Dagster looks for its dagster.yaml there.
        arguments: of the module, after the descriptors.

    Attributes:
        has_recorded_end: whether Dagster has the end of the run. Not if it did not begin, or its storage went away.
    """

    has_recorded_end = False

    def __init__(self, home: Path, *, verbose: bool = False, arguments: tuple[str, ...] = ()) -> None:
        self._home = home
        self._verbose = verbose
        self._arguments = arguments
        self._num_signals = 0
        self._run_id = ""
        self._production = ""  # before the run
        self._unfinished_line = b""

    def __enter__(self) -> Self:
        self._reports, reports = os.pipe()
        control, self._control = os.pipe()
        self._log: IO[bytes] | None = None if self._verbose else tempfile.TemporaryFile()
        output: Any = self._log or sys.stderr
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-W", "ignore", "-m", _MODULE, str(reports), str(control), *self._arguments],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(reports, control),
                start_new_session=True,  # Ctrl-C reaches this process only, which reports the run as being canceled
            )
        finally:
            os.close(reports)
            os.close(control)
        self._handlers = {
            number: signal.signal(number, self._cancel) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._control)  # cancels a run that still goes on
        os.close(self._reports)
        self._ended()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._log is not None:
            self._log.close()

    def follow(self, show: Callable[[_Report], None], tick: Callable[[], None]) -> RefreshResult:
        """Show every report until the end, and return the result.

        Args:
            tick: called a few times a second.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._reports, selectors.EVENT_READ)
            is_open = True
            while is_open:
                # Another process may hold the pipe open after the death of this one.
                ended = self._process.poll() is not None
                if selector.select(0 if ended else _TICK_SECONDS):
                    data = os.read(self._reports, 65_536)
                    is_open = bool(data)
                    for report in self._complete(data):
                        if report["kind"] == "result":
                            return self._completed(result_from(report))
                        if report["kind"] == "run":
                            self._run_id, self._production = report["run_id"], report["production"] or ""
                        show(report)
                else:
                    is_open = not ended
                tick()
        return self._after_death()

    def _completed(self, result: RefreshResult) -> RefreshResult:
        """Add the run to a result that was made without Dagster's record of its end."""
        self.has_recorded_end = bool(result.run_id)
        if not self.has_recorded_end:
            result.run_id, result.production_before = self._run_id, self._production or None
        return result

    def _complete(self, data: bytes) -> list[_Report]:
        """Return the reports that are complete with these bytes."""
        *lines, self._unfinished_line = (self._unfinished_line + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _cancel(self, _number: int, _frame: FrameType | None) -> None:
        self._num_signals += 1
        if self._num_signals > 1:
            self._kill()
            return
        with suppress(OSError):
            os.write(self._control, b"c")

    def _ended(self) -> int:
        """Return the exit code of the process, which has closed its pipe or is about to."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS)
        self._kill()
        return self._process.wait()

    def _kill(self) -> None:
        """End the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _after_death(self) -> RefreshResult:
        """Return the result of a process that ended without one. Its run is recorded as ended by another process."""
        code = self._ended()
        reason = (
            f"its process was killed by {signal.Signals(-code).name}" if code < 0 else self._last_line(code)
        )
        canceled = self._num_signals > 0
        if not self._run_id:
            return self._completed(
                RefreshResult(Outcome.CANCELED if canceled else Outcome.FAILED, reason=reason)
            )
        with RunProcess(
            self._home,
            arguments=(self._run_id, "canceled" if canceled else reason, self._production),
        ) as aftermath:
            return self._completed(aftermath.follow(lambda _: None, lambda: None))

    def _last_line(self, code: int) -> str:
        if self._log is None:
            return f"its process ended with exit code {code}"
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_BYTES))
        lines = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        return f"its process ended with exit code {code}" + (f": {lines[-1].strip()}" if lines else "")
