"""What a person reads if the server refuses, is away, or is none."""

import json
import logging
from pathlib import Path

import pytest

from rag_assets.errors import ConfigurationError, RagAssetsError, VectorStoreUnavailable
from rag_assets.vector_stores.server.client import connect
from rag_assets.vector_stores.server.reader import ServerGenerationReader
from rag_assets.vector_stores.server.server_errors import Hiccup
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.certificates import self_signed_certificate
from rag_assets_tests.vector_stores.samples import DIMENSIONS, unit_vector
from rag_assets_tests.vector_stores.server.other_servers import answering


def refused(url: str, ca_file: Path | None = None) -> RagAssetsError:
    """Return the error of reading the aliases."""
    with pytest.raises(RagAssetsError) as caught:
        ServerVectorStore(connect(url, None, ca_file=ca_file), "kb").production_state()
    assert caught.value.__cause__ is None
    return caught.value


def reason(text: str) -> bytes:
    return json.dumps({"status": {"error": text}, "time": 0.1}).encode()


ALIASES = json.dumps({"result": {"aliases": []}, "status": "ok", "time": 0.1}).encode()


def test_an_unknown_certificate_names_the_setting_and_fails_at_once(tmp_path: Path) -> None:
    certificate = self_signed_certificate(tmp_path / "authority.pem")
    with answering(200, ALIASES, certificate) as place:
        error = refused(f"https://{place}")
        assert isinstance(error, ConfigurationError)
        assert "not trusted (self-signed certificate)" in str(error)
        assert "QDRANT_CA_FILE" in str(error)
        store = ServerVectorStore(connect(f"https://{place}", None, ca_file=certificate), "kb")
        assert store.production_state().production is None


@pytest.mark.parametrize("name", ["missing.pem", "other.pem"])
def test_an_unusable_file_of_certificates_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "other.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=rf"QDRANT_CA_FILE.*{name}"):
        connect("https://127.0.0.1:9", None, ca_file=tmp_path / name)


def test_https_to_a_plain_port_fails_at_once_and_says_so() -> None:
    with answering(200, ALIASES) as place:
        error = refused(f"https://{place}")
    assert isinstance(error, ConfigurationError)
    assert "does not speak TLS. Use http://" in str(error)


def test_http_to_a_port_with_tls_fails_at_once_and_says_so(tmp_path: Path) -> None:
    with answering(200, ALIASES, self_signed_certificate(tmp_path / "own.pem")) as place:
        error = refused(f"http://{place}")
    assert isinstance(error, ConfigurationError)
    assert "speaks TLS. Use https://" in str(error)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, b"<html>not found</html>"),
        (405, b"{}"),
        (200, b"<html>hello</html>"),
        (200, b'{"hello": 1}'),
    ],
)
def test_another_server_or_path_is_not_taken_for_an_empty_one(status: int, body: bytes) -> None:
    with answering(status, body) as place:
        url = f"http://{place}/wrong/path"
        error = refused(url)
        assert isinstance(error, ConfigurationError)
        assert "Check host, port and path in QDRANT_URL" in str(error)
        store = ServerVectorStore(connect(url, None), "kb")
        for call in (store.find_knowledge_base_id, lambda: store.manifest("g1"), lambda: store.read("g1")):
            with pytest.raises(ConfigurationError, match="host, port and path"):
                call()


def test_a_missing_collection_is_no_wrong_path() -> None:
    with answering(404, reason("Not found: Collection `kb--meta` doesn't exist!")) as place:
        assert ServerVectorStore(connect(f"http://{place}", None), "kb").manifest("g1") is None


def test_an_unknown_host_and_a_refused_connection_say_so() -> None:
    error = refused("http://no-such-host.invalid:6333")
    assert "Qdrant at http://no-such-host.invalid:6333, has an unknown host name" in str(error)
    error = refused("http://someone:s3cret@127.0.0.1:9")
    assert isinstance(error, Hiccup)
    assert "Qdrant at http://127.0.0.1:9, refuses connections. Start it" in str(error)


def searched(place: str) -> RagAssetsError:
    reader = ServerGenerationReader(connect(f"http://{place}", None), "kb--g1", "g1", DIMENSIONS)
    with pytest.raises(RagAssetsError) as caught:
        reader.search(unit_vector(1), None, 5)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        'Bad request: Limit exceeded 200 > 100 for "limit". Help: Reduce the "limit" parameter.',
        "Wrong input: Vector dimension error: expected dim: 8, got 4",
        "Forbidden: Write access to collection kb--g1 is required",
    ],
)
def test_the_reason_of_a_refusal_is_quoted(text: str) -> None:
    with answering(400, reason(text)) as place:
        error = searched(place)
    assert isinstance(error, ConfigurationError)
    assert text in str(error)


@pytest.mark.parametrize(
    "text",
    [
        'Format error in JSON body: invalid type: string "words of a document", expected f32',
        "words of a document",
        "Wrong input: words of a document",
    ],
)
def test_a_reason_that_may_quote_a_document_is_not_quoted(text: str) -> None:
    with answering(400, reason(text)) as place:
        error = searched(place)
    assert "400" in str(error)
    assert "words of a document" not in str(error)


def test_a_node_that_is_away_gets_one_line() -> None:
    inner = "Service internal error: 1 of 1 read operations failed:\n  " + "Failed to connect to peer 7 " * 40
    with answering(500, reason(inner)) as place:
        error = searched(place)
    assert isinstance(error, VectorStoreUnavailable)
    assert "a part of the collection is on a node that is away" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 700


def test_a_key_without_encryption_is_warned_about_once_and_not_on_this_machine(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    for _ in range(2):
        connect("http://qdrant.example:6333", "s3cret-key").close()
    connect("http://127.0.0.1:6333", "s3cret-key").close()
    connect("http://localhost:6333", "s3cret-key").close()
    connect("https://qdrant.example:6333", "s3cret-key").close()
    [message] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "QDRANT_API_KEY" in message
    assert "qdrant.example" in message
    assert "https" in message
    assert "s3cret" not in message
    assert not recwarn.list
