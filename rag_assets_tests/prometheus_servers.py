"""Real Prometheus, Alertmanager and Pushgateway for tests, on free loopback ports, from the Debian packages.

Without an executable the tests are skipped, or fail if `CI` is set.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_assets_tests.redis_servers import free_port

_START_SECONDS = 180


def require_executable(*names: str) -> str:
    """Return the first of these on the PATH, or skip the test."""
    for name in names:
        if found := shutil.which(name):
            return found
    message = f"{names[0]} is not installed: apt-get install -y $(cat .ci/debian-packages.txt)"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


@contextlib.contextmanager
def running(command: Sequence[str | Path], ready_url: str, log: Path) -> Iterator[None]:
    """Run a server until it is ready, and end it afterwards."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(list(map(str, command)), stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                get(ready_url)
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """Yield the URL of a Pushgateway."""
    program = require_executable("prometheus-pushgateway", "pushgateway")
    url = f"http://127.0.0.1:{free_port()}"
    address = f"--web.listen-address={url.removeprefix('http://')}"
    data = f"--persistence.file={folder / 'pushgateway.data'}"  # Debian's default is one file for all of them
    with running([program, address, data], f"{url}/-/ready", folder / "pushgateway.log"):
        yield url


@contextlib.contextmanager
def alertmanager(folder: Path, configuration: Path) -> Iterator[str]:
    """Yield the URL of an Alertmanager with this configuration."""
    program = require_executable("prometheus-alertmanager", "alertmanager")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with running(command, f"{url}/-/ready", folder / "alertmanager.log"):
        yield url


class Prometheus:
    """A server under test.

    Attributes:
        url: its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, path: str, **parameters: str | float) -> Any:
        text = get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        return json.loads(text)["data"]

    def query(self, expression: str, **parameters: float) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        try:
            return self.api("query", query=expression, **parameters)["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None

    def values(self, expression: str, label: str | None = None, **parameters: float) -> dict[str, float]:
        """Return value of the label -> value."""
        found = self.query(expression, **parameters)
        values = {one["metric"].get(label, "") if label else "": float(one["value"][1]) for one in found}
        assert len(values) == len(found), (expression, found)
        return values

    def value(self, expression: str, **parameters: float) -> float | None:
        """Return the value of the only series, or None without one."""
        return self.values(expression, **parameters).get("")

    def wait_for(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression has a result."""
        deadline = time.monotonic() + seconds
        while not self.query(expression):
            assert time.monotonic() < deadline, f"{expression} has no result"
            time.sleep(0.1)


@contextlib.contextmanager
def prometheus(folder: Path, configuration: dict[str, Any], *options: str) -> Iterator[Prometheus]:
    """Yield a Prometheus with this configuration."""
    program = require_executable("prometheus")
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        *options,
    ]
    with running(command, f"{url}/-/ready", folder / "prometheus.log"):
        yield Prometheus(url)
