"""What tests of several folders share."""

import logging
from collections.abc import Iterator

import pytest

from rag_assets import progress
from rag_assets_tests.fake_openai import FakeOpenAI


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that may take longest, so that the workers have short ones left to share at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture
def progress_lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Every line of progress: nothing is left out for having come too soon."""
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
def server() -> Iterator[FakeOpenAI]:
    """A fake OpenAI server of its own."""
    with FakeOpenAI() as running:
        yield running
