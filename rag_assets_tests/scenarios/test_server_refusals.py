"""Real Qdrant servers with keys, TLS and limits: what works on them, and what a person reads if it does not.

QDRANT_TEST_EXECUTABLE=... pytest rag_assets_tests/scenarios/test_server_refusals.py
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rag_assets_tests.certificates import self_signed_certificate
from rag_assets_tests.pipeline import Pipeline, question_about
from rag_assets_tests.qdrant_nodes import EXECUTABLE, Node, Nodes

pytestmark = pytest.mark.skipif(not EXECUTABLE, reason="QDRANT_TEST_EXECUTABLE is not set")


@contextmanager
def server(folder: Path, **configuration: str) -> Iterator[Node]:
    node = Node(folder / "server", cluster=False, configuration=configuration)
    node.start()
    try:
        yield node
    finally:
        node.kill()


def test_a_key_that_only_reads_searches_and_refreshes_nothing(empty: Pipeline, tmp_path: Path) -> None:
    keys = {"SERVICE__API_KEY": "a key that writes", "SERVICE__READ_ONLY_API_KEY": "a key that reads"}
    with server(tmp_path, **keys) as node:
        empty.configure(QDRANT_URL=node.url, QDRANT_API_KEY="another key")
        assert "check QDRANT_API_KEY" in empty.refresh().message
        empty.configure(QDRANT_API_KEY=keys["SERVICE__API_KEY"])
        empty.refresh().checked()
        empty.configure(QDRANT_API_KEY=keys["SERVICE__READ_ONLY_API_KEY"])
        assert empty.search(question_about(7))[0]["filename"] == "topic07.md"
        assert empty.status()["production"] is not None
        served = empty.export()
        empty.remove("topic01.md")
        assert "check QDRANT_API_KEY" in empty.refresh().message
        assert empty.export() == served


def test_a_server_with_tls_needs_the_certificate_of_its_authority(empty: Pipeline, tmp_path: Path) -> None:
    certificate = self_signed_certificate(tmp_path / "certificate.pem")
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE" + certificate.read_text().partition("-----BEGIN PRIVATE")[2])
    files = {"TLS__CERT": str(certificate), "TLS__KEY": str(key)}
    with server(tmp_path, SERVICE__ENABLE_TLS="true", **files) as node:
        empty.configure(QDRANT_URL=node.url)
        assert "is not trusted" in empty.refresh().message
        empty.configure(QDRANT_CA_FILE=str(certificate))
        empty.refresh().checked()
        assert empty.search(question_about(7))[0]["filename"] == "topic07.md"
        empty.configure(QDRANT_URL=node.url.replace("https", "http"))
        assert "Use https:// in place of http://" in empty.refresh().message


def test_a_server_with_strict_limits_is_refreshed_and_searched_within_them(
    empty: Pipeline, tmp_path: Path
) -> None:
    limits = {
        "ENABLED": "true",
        "MAX_QUERY_LIMIT": "100",
        "SEARCH_ALLOW_EXACT": "false",
        "UNINDEXED_FILTERING_RETRIEVE": "false",
        "UNINDEXED_FILTERING_UPDATE": "false",
        "UPSERT_MAX_BATCHSIZE": "10",
        "SEARCH_MAX_BATCHSIZE": "1",
    }
    configuration = {f"STORAGE__COLLECTION__STRICT_MODE__{name}": value for name, value in limits.items()}
    with server(tmp_path, **configuration) as node:
        empty.configure(QDRANT_URL=node.url)
        empty.refresh().checked()
        empty.remove("topic01.md")
        empty.refresh().checked()
        assert empty.problems_of_production() == ()
        assert "topic07.md" in empty.succeed("search", question_about(7), "--filter", "path=topic*")
        assert "at most 100 results" in empty.succeed("doctor", "--deep")
        code, _, errors = empty.command("search", "anything", "--filter", "metadata.unknown=1")
        assert code == 1
        assert "RAG_METADATA_INDEXES" in errors or "metadata.unknown" in errors


def test_a_maximum_of_collections_is_named_before_it_is_reached(empty: Pipeline, tmp_path: Path) -> None:
    with server(tmp_path, STORAGE__MAX_COLLECTIONS="3") as node:
        empty.configure(QDRANT_URL=node.url)
        empty.refresh().checked()
        empty.remove("topic01.md")
        empty.refresh().checked()
        served = empty.export()
        assert "3 of at most 3 collections (max_collections), no room" in empty.succeed("doctor")
        empty.remove("topic02.md")
        assert "holds 3 of at most 3 collections" in empty.refresh().message
        assert empty.export() == served


@pytest.mark.slow
def test_without_a_second_copy_a_dead_node_is_named_and_with_one_all_goes_on(
    empty: Pipeline, tmp_path: Path
) -> None:
    nodes = Nodes(tmp_path / "nodes", 3)
    try:
        empty.configure(QDRANT_URL=nodes.nodes[0].url)
        for copies in ("1", "2"):
            empty.configure(RAG_COLLECTION=f"copies{copies}", RAG_QDRANT_REPLICAS=copies)
            empty.refresh().checked()
        owner = nodes.holding("copies1")
        other = next(node for node in nodes.nodes if node is not owner)
        owner.kill()

        empty.configure(QDRANT_URL=other.url, RAG_COLLECTION="copies1", RAG_QDRANT_REPLICAS="1")
        code, _, errors = empty.command("search", question_about(7))
        assert code == 1
        assert "a node that is away" in errors
        assert "Start the node again" in errors
        assert len(errors.splitlines()) == 1

        empty.configure(RAG_COLLECTION="copies2", RAG_QDRANT_REPLICAS="2")
        assert empty.search(question_about(7))[0]["filename"] == "topic07.md"
        for number in (1, 2):
            empty.remove(f"topic{number:02}.md")
            empty.refresh().checked()
        assert empty.problems_of_production() == ()
        owner.start()
        nodes.wait_until_whole("copies")
        empty.configure(QDRANT_URL=owner.url)
        assert empty.problems_of_production() == ()
    finally:
        nodes.stop()
