"""Secrets in Secrets Manager and in the Parameter Store: found, refused, shown with their place only."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.aws import secrets
from rag_assets.cli.main import main
from rag_assets.effective_settings import effective_settings
from rag_assets.environment import read_environment
from rag_assets.errors import ConfigurationError, SecretUnavailable
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings, load_settings
from rag_assets.sources.declarations import build_sources
from rag_assets.sources.option_settings import option_settings
from rag_assets.sources.unread_variables import unread_variables
from rag_assets_tests.moto_server import MotoServer, moto_server, use_credentials

KEY = "made-up-key-of-a-test"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MotoServer]:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(tmp_path)
    use_credentials(monkeypatch)
    server = moto_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    secrets._kept.clear()
    yield server
    secrets._kept.clear()


def put_secret(server: MotoServer, name: str, value: str) -> None:
    client = server.client("secretsmanager")
    try:
        client.create_secret(Name=name, SecretString=value)
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=name, SecretString=value)


def put_parameter(server: MotoServer, name: str, value: str) -> None:
    server.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


def openai_key() -> str:
    key = load_settings().openai_api_key
    assert key is not None
    return key.get_secret_value()


def test_a_secret_of_secrets_manager_is_the_value_of_a_setting(
    server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_secret(server, "prod/openai", KEY)
    monkeypatch.setenv("OPENAI_API_KEY_AWS_SECRET", "prod/openai")
    assert openai_key() == KEY
    put_secret(server, "prod/rag", json.dumps({"openai": KEY + "-2", "other": "x"}))
    monkeypatch.setenv("OPENAI_API_KEY_AWS_SECRET", "prod/rag#openai")
    assert openai_key() == KEY + "-2"


def test_a_parameter_is_the_value_of_a_setting(server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    put_parameter(server, "/prod/openai", KEY)
    monkeypatch.setenv("OPENAI_API_KEY_AWS_PARAMETER", "/prod/openai")
    assert openai_key() == KEY


def test_nothing_is_fetched_before_it_is_used(server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "REDIS_URL", "RAG_MCP_TOKEN", "SLACK_WEBHOOK_URL", "QDRANT_API_KEY"):
        monkeypatch.setenv(f"{name}_AWS_SECRET", "prod/anything")
    before = server.num_requests
    settings = load_settings()
    assert settings.openai_api_key
    assert repr(settings).count("**********") >= 5
    # The model follows from the presence of a key.
    assert KnowledgeBase(settings).embedding_model_name == "text-embedding-3-small"
    effective_settings(settings, read_environment())
    assert server.num_requests == before


def test_a_secret_is_fetched_once_in_some_minutes(
    server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_secret(server, "prod/rotated", KEY)
    monkeypatch.setenv("OPENAI_API_KEY_AWS_SECRET", "prod/rotated")
    openai_key()
    before = server.num_requests
    assert openai_key() == KEY
    assert server.num_requests == before
    put_secret(server, "prod/rotated", KEY + "-new")
    monkeypatch.setattr(secrets, "_KEPT_SECONDS", -1)
    assert openai_key() == KEY + "-new"


@pytest.mark.parametrize("other", ["OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "OPENAI_API_KEY_AWS_PARAMETER"])
def test_two_places_of_one_secret_are_refused(
    other: str, server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_AWS_SECRET", "prod/openai")
    monkeypatch.setenv(other, "x")
    with pytest.raises(ConfigurationError, match="are both set: keep one") as refused:
        load_settings()
    assert other in str(refused.value)
    assert "OPENAI_API_KEY_AWS_SECRET" in str(refused.value)


def test_the_settings_show_the_place_and_never_the_secret(
    server: MotoServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_secret(server, "prod/openai", KEY)
    put_parameter(server, "/prod/dsn", f"postgresql://u:{KEY}@h/d")
    monkeypatch.setenv("OPENAI_API_KEY_AWS_SECRET", "prod/openai")
    monkeypatch.setenv("RAG_POSTGRES_DSN_AWS_PARAMETER", "/prod/dsn")
    assert main(["settings"]) == 0
    shown = capsys.readouterr()
    assert "(AWS secret prod/openai)" in shown.out
    assert "(AWS parameter /prod/dsn)" in shown.out
    assert KEY not in shown.out + shown.err
    assert "Unknown setting" not in shown.err
    rows = option_settings(read_environment())
    assert [(row.variable, row.value) for row in rows] == [("RAG_POSTGRES_DSN", "set, not shown")]
    assert unread_variables(read_environment().variables) == []


def test_options_of_sources_may_be_in_aws(
    server: MotoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_parameter(server, "/prod/dsn", "postgresql://u:made-up@h/d")
    environment = {"RAG_POSTGRES_DSN_AWS_PARAMETER": "/prod/dsn", "RAG_POSTGRES_QUERY": "SELECT 1"}
    options: Any = build_sources(["postgres"], None, environment)[0].options
    assert options.dsn.get_secret_value() == "postgresql://u:made-up@h/d"
    declared = tmp_path / "sources.yaml"
    declared.write_text("sources: {rows: {kind: postgres, dsn: '${DSN}', query: SELECT 1}}")
    options = build_sources([], declared, {"DSN_AWS_PARAMETER": "/prod/dsn"})[0].options
    assert options.dsn.get_secret_value() == "postgresql://u:made-up@h/d"


@pytest.mark.parametrize(
    ("variable", "reference", "expected"),
    [
        (
            "OPENAI_API_KEY_AWS_SECRET",
            "nowhere",
            "ResourceNotFoundException, status 404. There is no such secret",
        ),
        (
            "OPENAI_API_KEY_AWS_PARAMETER",
            "/nowhere",
            "ParameterNotFound, status 400. There is no such parameter",
        ),
        ("OPENAI_API_KEY_AWS_SECRET", "prod/plain#key", "the secret is no JSON object"),
        ("OPENAI_API_KEY_AWS_SECRET", "prod/object#missing", "the JSON object has no key `missing`"),
        ("OPENAI_API_KEY_AWS_SECRET", "prod/object#number", "is empty, or is no text"),
    ],
)
def test_an_unusable_reference_is_a_configuration_error(
    variable: str, reference: str, expected: str, server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_secret(server, "prod/plain", KEY)
    put_secret(server, "prod/object", json.dumps({"number": 5, "secret": KEY}))
    monkeypatch.setenv(variable, reference)
    with pytest.raises(ConfigurationError) as refused:
        openai_key()
    assert f"{variable}: " in str(refused.value)
    assert expected in str(refused.value)
    assert KEY not in str(refused.value)


def test_a_value_that_a_setting_cannot_have_is_refused_when_it_is_used(
    server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_secret(server, "prod/short", "short")
    monkeypatch.setenv("RAG_MCP_TOKEN_AWS_SECRET", "prod/short")
    token = load_settings().mcp_token
    assert token is not None
    with pytest.raises(ConfigurationError, match="RAG_MCP_TOKEN: expected at least 16 characters"):
        token.get_secret_value()


def test_an_outage_passes_and_a_refusal_does_not(server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_AWS_SECRET", "prod/openai")
    for how in ("refused", "error"):
        with (
            server.failing(how),
            pytest.raises(SecretUnavailable, match="OPENAI_API_KEY_AWS_SECRET: AWS secret prod/openai"),
        ):
            openai_key()

    def denied(_: dict[str, Any], start_response: Any) -> Any:
        body = b'{"__type": "AccessDeniedException", "message": "of no use"}'
        start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
        return [body]

    with server.answering(denied), pytest.raises(ConfigurationError, match="Allow these credentials"):
        openai_key()
