"""The first line of a refresh does not wait for a server."""

import socket

import pytest

from rag_assets.cli.refresh import production_in_words
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings


@pytest.mark.slow
def test_a_server_without_an_answer_does_not_hold_up_the_first_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        knowledge_base = KnowledgeBase(load_settings(qdrant_url=url))
        assert production_in_words(knowledge_base) == "the server has not answered yet"
