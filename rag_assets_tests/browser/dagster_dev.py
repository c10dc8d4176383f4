"""`dagster dev` as started by hand: webserver, daemon and code location, in temporary folders."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_SERVING = "Serving dagster-webserver on "
_START_SECONDS = 300
_STOP_SECONDS = 20


@contextlib.contextmanager
def dagster_dev(home: Path, environment: Mapping[str, str]) -> Generator[str]:
    """Start it in `home` with the repository's own configuration, and yield the address of the UI.

    Args:
        home: becomes `DAGSTER_HOME` and the working directory. Each run reads the `.env` there again.
    """
    home.mkdir(parents=True, exist_ok=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(REPOSITORY / name, home)
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [Path(sys.executable).with_name("dagster"), "dev", "-h", "127.0.0.1", "-p", url.rpartition(":")[2]],
        cwd=home,
        env={**environment, "DAGSTER_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output: list[str] = []
    serving = threading.Event()
    reading = threading.Thread(target=_read, args=(process, output, serving), daemon=True)
    reading.start()
    try:
        if not serving.wait(_START_SECONDS) or process.poll() is not None:
            raise AssertionError(f"dagster dev did not start:\n{''.join(output)}")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        # Its children ignore SIGINT in a background job of a shell.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reading.join()


def _read(process: "subprocess.Popen[str]", output: list[str], serving: threading.Event) -> None:
    """Read the output, so the process never blocks on a full pipe."""
    assert process.stdout is not None
    for line in process.stdout:
        output.append(line)
        if _SERVING in line:
            serving.set()
    serving.set()  # the process has ended


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
