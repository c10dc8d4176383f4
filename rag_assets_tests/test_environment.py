"""One order of precedence for all processes: environment, `.env` of the working folder, `.env` of RAG_HOME."""

import os
from pathlib import Path

import pytest

from rag_assets.cli import main as cli
from rag_assets.effective_settings import difference_lines
from rag_assets.environment import read_environment
from rag_assets.errors import ConfigurationError
from rag_assets.invalid_values import may_hold_secrets
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without settings."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    folder = tmp_path / "working"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder named by RAG_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("RAG_HOME", str(folder))
    return folder


def write_env(folder: Path, *lines: str) -> None:
    (folder / ".env").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_the_file_in_the_working_folder_wins_over_the_environment(
    working: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_CHUNK_SIZE", "100")
    assert load_settings().chunk_size == 100
    write_env(working, "RAG_CHUNK_SIZE=200")
    assert load_settings().chunk_size == 200
    assert read_environment().origin("RAG_CHUNK_SIZE") == str(working / ".env")


def test_the_file_of_the_home_wins_over_that_of_the_working_folder(home: Path, working: Path) -> None:
    write_env(working, "RAG_CHUNK_SIZE=200", "RAG_CHUNK_OVERLAP=20")
    write_env(home, "RAG_CHUNK_SIZE=300")
    settings = load_settings()
    assert (settings.chunk_size, settings.chunk_overlap) == (300, 20)


def test_an_empty_line_in_the_file_unsets_the_variable(
    working: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Dagster, where the file replaces the variable."""
    monkeypatch.setenv("RAG_CHUNK_SIZE", "100")
    write_env(working, "RAG_CHUNK_SIZE=")
    assert load_settings().chunk_size == 512


def test_a_name_in_lower_case_gives_way_to_the_exact_one(
    working: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(working, "rag_chunk_size=200")
    assert load_settings().chunk_size == 200
    monkeypatch.setenv("RAG_CHUNK_SIZE", "100")
    assert load_settings().chunk_size == 100


def test_relative_paths_are_relative_to_the_home(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(home, "RAG_DOCUMENTS_DIR=texts", "RAG_SOURCES_FILE=/etc/sources.yaml")
    settings = load_settings(state_dir="state")
    assert settings.home == home
    assert settings.documents_dir == home / "texts"
    assert settings.state_dir == home / "state"
    assert settings.benchmark_file == home / "eval_benchmarks/benchmark.jsonl"
    assert str(settings.sources_file) == "/etc/sources.yaml"
    monkeypatch.chdir(tmp_path)
    assert load_settings(state_dir="state") == settings


def test_relative_paths_of_sources_are_relative_to_the_home(home: Path) -> None:
    (home / "sources.yaml").write_text(
        "sources:\n  docs: {kind: filesystem, folder: texts}\n  pages: {kind: urls}\n", encoding="utf-8"
    )
    write_env(home, "RAG_SOURCES_FILE=sources.yaml")
    docs, pages = KnowledgeBase(load_settings()).sources()
    assert docs.options.folder == home / "texts"  # pyright: ignore[reportAttributeAccessIssue]
    assert pages.options.file == home / "data/urls_to_scrape.txt"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_file_in_the_working_folder_may_name_the_home(home: Path, working: Path) -> None:
    """Dagster copies it into the environment too."""
    other = home.with_name("other")
    other.mkdir()
    write_env(working, f"RAG_HOME={other}")
    assert load_settings().home == other


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("texts", "RAG_HOME: expected an absolute path, found `texts`"),
        ("/nowhere/at/all", "RAG_HOME: /nowhere/at/all is not a folder"),
    ],
)
def test_an_ambiguous_or_missing_home_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    monkeypatch.setenv("RAG_HOME", value)
    with pytest.raises(ConfigurationError, match=problem):
        load_settings()


def test_a_home_that_sends_on_to_another_one_is_refused(home: Path, tmp_path: Path) -> None:
    write_env(home, f"RAG_HOME={home}")
    assert load_settings().home == home
    write_env(home, f"RAG_HOME={tmp_path}")
    with pytest.raises(ConfigurationError, match="names another folder"):
        load_settings()


def test_a_file_that_cannot_be_read_is_named(working: Path) -> None:
    (working / ".env").write_bytes(b"RAG_CHUNK_SIZE=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match=rf"cannot read the file {working}/\.env \(Unicode"):
        load_settings()


def test_each_difference_is_one_sentence(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_STATE_DIR", "/a")
    monkeypatch.setenv("RAG_CHUNK_SIZE", "100")
    monkeypatch.setenv("RAG_COLLECTION", "")
    monkeypatch.setenv("RAG_EXECUTOR", "multiprocess")
    write_env(working, "RAG_STATE_DIR=/b", "RAG_CHUNK_SIZE=100", "RAG_COLLECTION=kb", "RAG_EXECUTOR=")
    assert difference_lines(read_environment()) == [
        f"RAG_STATE_DIR is /a in the shell and /b in {working}/.env, which wins",
        f"RAG_EXECUTOR is multiprocess in the shell and empty in {working}/.env, which wins",
    ]


def test_a_command_names_each_difference(
    working: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAG_COLLECTION", "a")
    write_env(working, "RAG_COLLECTION=b")
    cli.main(["search", "vacation"])
    difference = f"RAG_COLLECTION is a in the shell and b in {working}/.env, which wins"
    assert capsys.readouterr().err.splitlines()[0] == f"rag-assets: {difference}"


def test_two_files_can_differ_too(home: Path, working: Path) -> None:
    write_env(working, "RAG_CHUNK_SIZE=200")
    write_env(home, "RAG_CHUNK_SIZE=300")
    assert difference_lines(read_environment()) == [
        f"RAG_CHUNK_SIZE is 200 in {working}/.env and 300 in {home}/.env, which wins"
    ]


@pytest.mark.parametrize(
    ("name", "shell", "file"),
    [
        ("OPENAI_API_KEY", "key-of-the-shell", "key-of-the-file"),
        (
            "SLACK_WEBHOOK_URL",
            "https://example.com/hook-of-the-shell",
            "https://example.com/hook-of-the-file",
        ),
        ("QDRANT_URL", "http://me:word-of-the-shell@qdrant:6333", "http://qdrant:6333"),
        ("RAG_POSTGRES_DSN", "postgresql://of-the-shell", "postgresql://of-the-file"),
        ("AWS_SECRET_ACCESS_KEY", "key-of-the-shell", "key-of-the-file"),
    ],
)
def test_no_secret_is_shown_in_a_difference(
    working: Path, monkeypatch: pytest.MonkeyPatch, name: str, shell: str, file: str
) -> None:
    monkeypatch.setenv(name, shell)
    write_env(working, f"{name}={file}")
    assert difference_lines(read_environment()) == [
        f"{name} differs between the shell and {working}/.env, which wins"
    ]


def test_libraries_see_the_same_values(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of AWS read their variables themselves."""
    monkeypatch.setenv("AWS_PROFILE", "of-the-shell")
    monkeypatch.delenv("AWS_REGION", raising=False)
    write_env(home, "AWS_PROFILE=of-the-file", "AWS_REGION=eu-west-1")
    with read_environment().exported():
        assert os.environ["AWS_PROFILE"] == "of-the-file"
        assert os.environ["AWS_REGION"] == "eu-west-1"
        assert read_environment().origin("AWS_PROFILE") == str(home / ".env")
    assert os.environ["AWS_PROFILE"] == "of-the-shell"
    assert "AWS_REGION" not in os.environ


# Secrets from files

SECRETS = {
    "OPENAI_API_KEY": "openai_api_key",
    "RAG_MCP_TOKEN": "mcp_token",
    "RAG_MEDIA_API_KEY": "media_api_key",
    "MLFLOW_TRACKING_PASSWORD": "mlflow_tracking_password",
    "MLFLOW_TRACKING_TOKEN": "mlflow_tracking_token",
    "QDRANT_API_KEY": "qdrant_api_key",
    "RAG_REDIS_SENTINEL_PASSWORD": "redis_sentinel_password",
    "SLACK_WEBHOOK_URL": "slack_webhook_url",
}


def secret_of(settings: Settings, field: str) -> str | None:
    secret = getattr(settings, field)
    return secret.get_secret_value() if secret else None


def test_these_are_all_secret_settings() -> None:
    secrets = {name for name, field in Settings.model_fields.items() if may_hold_secrets(field.annotation)}
    urls = {
        "redis_url",
        "metadata_url",
        "mlflow_tracking_uri",
        "pushgateway_url",
    }  # tested with their own values
    assert secrets == {*SECRETS.values(), *urls}


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_may_stand_in_a_file(
    working: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "secret").write_text("a word of some length\n", encoding="utf-8")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "secret"))
    assert secret_of(load_settings(), SECRETS[variable]) == "a word of some length"
    # Relative to the home, and also in `.env`.
    (working / "other").write_text("another word of some length", encoding="utf-8")
    write_env(working, f"{variable}_FILE=other")
    assert secret_of(load_settings(), SECRETS[variable]) == "another word of some length"


@pytest.mark.parametrize(
    ("content", "secret"), [("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a "), ("a\nb", "a\nb")]
)
def test_one_newline_at_the_end_is_no_part_of_the_secret(working: Path, content: str, secret: str) -> None:
    (working / "secret").write_bytes(content.encode())
    write_env(working, "SLACK_WEBHOOK_URL_FILE=secret")
    assert secret_of(load_settings(), "slack_webhook_url") == secret


def test_a_variable_and_its_file_are_one_too_many(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (working / "secret").write_text("word", encoding="utf-8")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    write_env(working, "OPENAI_API_KEY_FILE=secret")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert str(refusal.value).startswith("OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set")
    assert "another" not in str(refusal.value)
    write_env(working, "OPENAI_API_KEY_FILE=secret", "OPENAI_API_KEY=")
    assert secret_of(load_settings(), "openai_api_key") == "word"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_a_file_without_a_secret_is_named(working: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (working / "secret").write_bytes(content)
    write_env(working, "QDRANT_API_KEY_FILE=secret")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert str(refusal.value) == f"QDRANT_API_KEY_FILE: {working}/secret {problem}"


def test_other_settings_have_no_file(working: Path) -> None:
    """RAG_SOURCES_FILE is a setting of its own."""
    (working / "secret").write_text("9", encoding="utf-8")
    write_env(working, "RAG_CHUNK_SIZE_FILE=secret", "RAG_SOURCES=web", "RAG_SOURCES_FILE=sources.yaml")
    settings = load_settings()
    assert settings.chunk_size == 512
    assert settings.sources == ("web",)
