"""`rag-assets metrics`: a real process that serves and ends, and pushes to a real Pushgateway."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.settings import Settings
from rag_assets.tracking.connections import Deadline
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.served import bring_to_production
from rag_assets_tests.optional_packages import require
from rag_assets_tests.prometheus_servers import get, pushgateway
from rag_assets_tests.tracking.sample_records import cost, run_record
from rag_assets_tests.tracking.test_contract import serving

pytestmark = pytest.mark.slow
require("prometheus_client")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the tables of one run."""
    database = MetadataDatabase(tmp_path / "state" / "metadata.sqlite", "kb", Deadline(60))
    database.prepare()
    database.put(run_record("r1", 1, costs=[cost("r1", 10, 0.25)]))
    bring_to_production(database, serving("g1", {"a": "1"}))
    database.close()
    return tmp_path


def environment(home: Path, **values: str) -> dict[str, str]:
    settings = {str(field.alias) for field in Settings.model_fields.values()}
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    own = {"RAG_HOME": str(home), "RAG_STATE_DIR": str(home / "state"), "RAG_COLLECTION": "handbook"}
    return inherited | own | values


def start(home: Path, *arguments: str, **values: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [Path(sys.executable).with_name("rag-assets"), "metrics", *arguments],
        cwd=home,
        env=environment(home, **values),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def push(home: Path, url: str | None) -> tuple[int, str]:
    process = start(home, "--push", **({"RAG_PUSHGATEWAY_URL": url} if url else {}))
    output, errors = process.communicate(timeout=60)
    assert output == ""
    return process.returncode, errors


@contextlib.contextmanager
def exporter(home: Path, **values: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Yield the URL of the metrics and the process."""
    process = start(home, **{"RAG_METRICS_PORT": "0", **values})
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+/metrics", line)
        assert found, line
        yield found[0], process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_on_the_loopback_address_until_it_is_ended(home: Path, number: signal.Signals) -> None:
    with exporter(home) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        text = get(url).decode()
        assert 'rag_promotions_total{knowledge_base="handbook"} 1.0' in text
        assert "python_info" not in text
        process.send_signal(number)
        assert process.wait(20) == 0


def test_a_port_in_use_is_an_error_of_one_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(home, RAG_METRICS_PORT=str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "Address already in use" in errors


def test_a_push_replaces_the_group_and_adds_nothing(home: Path, tmp_path: Path) -> None:
    with pushgateway(tmp_path) as url:
        for _ in range(2):
            code, errors = push(home, url)
            assert (code, errors) == (0, "rag-assets: pushed the metrics of handbook\n")
        text = get(f"{url}/metrics").decode()
        [line] = [line for line in text.splitlines() if line.startswith("rag_promotions_total{")]
        assert line.endswith(" 1")
        assert 'knowledge_base="handbook"' in line
        assert 'job="rag-assets"' in line
        (home / "state" / "metadata.sqlite").write_bytes(b"no database" * 1000)
        code, errors = push(home, url)
        assert code == 1
        assert "Nothing was pushed" in errors
        assert line in get(f"{url}/metrics").decode(), "the last state stays"


def test_a_push_without_a_pushgateway_says_what_to_do(home: Path) -> None:
    code, errors = push(home, None)
    assert code == 1
    assert "RAG_PUSHGATEWAY_URL is not set" in errors
    code, errors = push(home, "http://rag:secret-of-the-url@127.0.0.1:9")
    assert code == 1
    assert "check its URL" in errors
    assert "secret-of-the-url" not in errors
