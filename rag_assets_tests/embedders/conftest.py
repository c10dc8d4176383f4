"""A fake OpenAI server for each test that asks for one."""

from collections.abc import Iterator

import pytest

from rag_assets_tests.fake_openai import FakeOpenAI


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running
