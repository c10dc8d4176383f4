"""Fixtures and marks for several folders of tests."""

import gc
import logging
import os
import re
import shutil
import signal
import ssl
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpcore2
import pytest

from rag_assets import progress
from rag_assets.environment import read_environment
from rag_assets.errors import EmbedderUnavailable
from rag_assets.text.tokenizers import TiktokenTokenizer, Tokenizer, wordllama_tokenizer
from rag_assets_tests.fake_openai import FakeOpenAI
from rag_assets_tests.shares import deal
from rag_assets_tests.small_generations import small_generations

_MEMORY = Path("/dev/shm")
_ENOUGH_MEMORY_BYTES = 12 * 2**30


def _use_memory_for_temporary_files() -> None:
    """Keep temporary files in memory: hundreds of temporary knowledge bases on a disk take a third of the time of the tests.

    They took 8 GB at most. A TMPDIR of the environment is kept.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    available_bytes = int(available[1]) * 1024 if available else 0
    if min(shutil.disk_usage(_MEMORY).free, available_bytes) > _ENOUGH_MEMORY_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


_use_memory_for_temporary_files()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in the background of a script. Tested programs would inherit it, and Ctrl-C could not end them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Collection imports a hundred thousand lasting objects. Repeated garbage collections of them took 2 of 9 s.
gc.disable()


# Importing the code location copies the `.env` of a developer into the environment.
_before = {name: os.environ.get(name) for layer in read_environment().layers[1:] for name in layer.variables}


def pytest_collection_finish() -> None:
    """Forget the `.env` of a developer, and exclude all imported objects from garbage collection: they stay until the end."""
    for name, value in _before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    gc.freeze()
    # Libraries loaded by tests are lasting objects too: with the usual threshold, collections took 6 s of the fast loop.
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Spare the last garbage collections, five of them, all objects that are left."""
    gc.freeze()


# Slow by nature: each starts processes, a browser or Dagster. Elsewhere a test that takes half a second is marked itself.
_SLOW = ("browser/", "processes/", "scenarios/", "test_dg.py", "test_program_benchmarks.py")
# Its driver waits two seconds at least.
_SLOW_NAMES = ("[postgres-hang]",)
# These begin with a stored state.
_FAST_SCENARIOS = ("scenarios/test_earlier_versions.py",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests."""
    here = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(here).as_posix()
        is_slow = item.name.endswith(_SLOW_NAMES) or (path.startswith(_SLOW) and path not in _FAST_SCENARIOS)
        if is_slow or item.get_closest_marker("soak"):
            item.add_marker("slow")


class _Order:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        deal(items, getattr(config, "workerinput", {}).get("workercount", 1))


def pytest_configure(config: pytest.Config) -> None:
    """Sort the tests after they have been selected by their marks. One module has one hook of a name."""
    config.pluginmanager.register(_Order())


@pytest.fixture(scope="session", autouse=True)
def shared_tls_contexts() -> Iterator[None]:
    """Share TLS contexts between clients. Each reads the certificates of the system, a tenth of the time of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield


@pytest.fixture
def progress_lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[str]:
    """All lines of progress, without the usual pause between two lines."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    collect = Collect()
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0.0)
    caplog.set_level(logging.INFO, logger=progress.__name__)
    monkeypatch.setattr(logging.getLogger(progress.__name__), "handlers", [collect])
    return lines


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder on a disk. In memory, reading a hole of a sparse file would allocate it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def one_index() -> Iterator[None]:
    """Create embedded generations with one payload index. See `small_generations`."""
    with small_generations():
        yield


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    """A fake OpenAI server for one test."""
    with FakeOpenAI() as running:
        yield running


@pytest.fixture(scope="session", params=["tiktoken", "wordllama"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "wordllama":
        return wordllama_tokenizer()
    return request.getfixturevalue("tiktoken_tokenizer")


@pytest.fixture(scope="session")
def tiktoken_tokenizer() -> TiktokenTokenizer:
    cl100k = TiktokenTokenizer("cl100k_base")
    try:
        cl100k.count(["x"])
    except EmbedderUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return cl100k
