import ast
import re
from pathlib import Path

import pytest

from rag_assets.defs.resources import KnowledgeBaseResource
from rag_assets.errors import ConfigurationError
from rag_assets.settings import Settings, load_settings
from rag_assets.sources.declarations import OLDER_VARIABLES
from rag_assets.sources.unread_variables import unread_variables
from rag_assets_tests import settings_pages
from rag_assets_tests.syntax_trees import nodes

ROOT = Path(__file__).parents[1]
HIDDEN = "a value not shown here, because it could be a key"
ALIASES = {str(field.alias) for field in Settings.model_fields.values()}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No environment and no `.env` of this machine."""
    for alias in ALIASES:
        monkeypatch.delenv(alias, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_those_that_users_know(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.documents_dir == tmp_path / "data/documents"
    assert settings.sources == ()
    assert settings.state_dir == tmp_path / ".rag"
    assert (settings.chunk_size, settings.chunk_overlap) == (512, 50)
    assert settings.eval_threshold == 0.75
    assert settings.max_deleted_share == 0.3
    assert settings.cache_ttl_seconds == 2_592_000
    assert settings.executor == "in_process"
    assert settings.qdrant_url is None
    assert settings.keep_failed_candidate is False


def test_an_argument_wins_over_the_file_and_that_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAG_EVAL_THRESHOLD", "0.2")
    assert load_settings().eval_threshold == 0.2
    (tmp_path / ".env").write_text("RAG_EVAL_THRESHOLD=0.1\nRAG_CHUNK_SIZE=100\n", encoding="utf-8")
    assert load_settings().eval_threshold == 0.1
    assert load_settings(eval_threshold=0.3).eval_threshold == 0.3
    assert load_settings(eval_threshold=0.3).chunk_size == 100


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for alias in ALIASES:
        monkeypatch.setenv(alias, "")
    assert load_settings() == defaults


def test_sources_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_SOURCES", " filesystem, s3 ,,web ")
    assert load_settings().sources == ("filesystem", "s3", "web")
    assert load_settings(sources=["a", "b"]).sources == ("a", "b")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No shell replaces it in `.env`."""
    monkeypatch.setenv("HOME", "/home/somebody")
    paths = {
        "RAG_DOCUMENTS_DIR": "documents_dir",
        "RAG_SOURCES_FILE": "sources_file",
        "RAG_STATE_DIR": "state_dir",
        "RAG_BENCHMARK_FILE": "benchmark_file",
    }
    (tmp_path / ".env").write_text("".join(f"{alias}=~/{alias}\n" for alias in paths), encoding="utf-8")
    settings = load_settings()
    for alias, name in paths.items():
        assert getattr(settings, name) == Path("/home/somebody") / alias


def test_other_tildes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("~nobody-of-this-name/docs", "a/~", "docs~"):
        monkeypatch.setenv("RAG_DOCUMENTS_DIR", folder)
        assert load_settings().documents_dir == Path.cwd() / folder


def test_only_the_documented_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`EXECUTOR` or `COLLECTION` may well be set for something else."""
    expected = load_settings()
    for name in Settings.model_fields:
        if name.upper() not in ALIASES:
            monkeypatch.setenv(name.upper(), "1")
    assert load_settings() == expected


@pytest.mark.parametrize(
    ("alias", "value"),
    [
        ("RAG_EVAL_THRESHOLD", "nan"),
        ("RAG_EVAL_THRESHOLD", "75"),
        ("RAG_EVAL_THRESHOLD", "-0.1"),
        ("RAG_DENSE_WEIGHT", "1.1"),
        ("RAG_DENSE_WEIGHT", "nan"),
        ("RAG_MAX_DELETED_SHARE", "nan"),
        ("RAG_MAX_DELETED_SHARE", "inf"),
        ("RAG_CHUNK_SIZE", "sixty"),
        ("RAG_CHUNK_SIZE", "15"),
        ("RAG_CHUNK_OVERLAP", "-1"),
        ("RAG_EXECUTOR", "docker"),
        ("RAG_COLLECTION", "../elsewhere"),
        ("REDIS_HASH_TTL", "1"),
        ("RAG_KEEP_FAILED_CANDIDATE", "perhaps"),
    ],
)
def test_an_invalid_value_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, alias: str, value: str
) -> None:
    monkeypatch.setenv(alias, value)
    with pytest.raises(ConfigurationError, match=f"{alias}: "):
        load_settings()


@pytest.mark.parametrize(
    ("alias", "value"),
    [
        ("RAG_EVAL_THRESHOLD", "0"),
        ("RAG_EVAL_THRESHOLD", "1"),
        ("RAG_DENSE_WEIGHT", "0"),
        ("RAG_DENSE_WEIGHT", "1"),
        ("RAG_MAX_DELETED_SHARE", "1"),
        ("RAG_CHUNK_SIZE", "16"),
        ("RAG_CHUNK_OVERLAP", "0"),
        ("REDIS_HASH_TTL", "60"),
        ("RAG_EXECUTOR", "multiprocess"),
        ("RAG_COLLECTION", "docs-2026.v1"),
    ],
)
def test_values_up_to_the_limits_are_accepted(
    monkeypatch: pytest.MonkeyPatch, alias: str, value: str
) -> None:
    monkeypatch.setenv(alias, value)
    name = next(name for name, field in Settings.model_fields.items() if field.alias == alias)
    assert str(getattr(load_settings(), name)).removesuffix(".0") == value


@pytest.mark.parametrize(
    ("alias", "value", "message"),
    [
        ("RAG_CHUNK_SIZE", "sixty", "expected a whole number of at least 16, found `sixty`"),
        ("RAG_CHUNK_SIZE", "15", "expected a whole number of at least 16, found `15`"),
        ("RAG_EVAL_THRESHOLD", "75", "expected a number from 0 to 1, found `75`"),
        ("RAG_EVAL_THRESHOLD", "nan", "expected a number from 0 to 1, found `nan`"),
        ("RAG_EXECUTOR", "docker", "expected `in_process` or `multiprocess`, found `docker`"),
        ("RAG_NEAR_DUPLICATES", "on", "expected `show`, `keep_one` or `off`, found `on`"),
        ("RAG_KEEP_FAILED_CANDIDATE", "perhaps", "expected `true` or `false`, found `perhaps`"),
        (
            "RAG_COLLECTION",
            "-a",
            f"expected 1 to 100 letters, digits, `_`, `.` and `-`, neither `.` nor `-` first, found {HIDDEN}",
        ),
    ],
)
def test_an_error_says_the_expected_form_and_the_value(
    monkeypatch: pytest.MonkeyPatch, alias: str, value: str, message: str
) -> None:
    monkeypatch.setenv(alias, value)
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert str(refusal.value) == f"{alias}: {message}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("documents_dir", 3, "RAG_DOCUMENTS_DIR: expected a path, found `3`"),
        ("sources", 3, "RAG_SOURCES: expected a list of texts, found `3`"),
        ("chunk_size", 512.5, "RAG_CHUNK_SIZE: expected a whole number of at least 16, found `512.5`"),
        ("openai_api_key", 12345, f"OPENAI_API_KEY: expected text, found {HIDDEN}"),
    ],
)
def test_an_error_in_an_argument_says_the_same(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(**{name: value})
    assert str(refusal.value) == message


def test_an_invalid_value_of_the_launchpad_is_named_by_its_variable_too() -> None:
    with pytest.raises(ConfigurationError, match="RAG_EVAL_THRESHOLD: "):
        load_settings(eval_threshold=3)


def test_one_error_lists_all_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_CHUNK_SIZE", "x")
    monkeypatch.setenv("RAG_EXECUTOR", "y")
    with pytest.raises(ConfigurationError, match=r"RAG_CHUNK_SIZE.*RAG_EXECUTOR"):
        load_settings()


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("OPENAI_API_KEY", "QDRANT_API_KEY", "SLACK_WEBHOOK_URL")
    for alias in secrets:
        monkeypatch.setenv(alias, "top-secret")
    settings = load_settings()
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "top-secret"
    assert "top-secret" not in repr(settings) + str(settings) + settings.model_dump_json()
    monkeypatch.setenv("RAG_CHUNK_SIZE", "top-secret")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert "top-secret" not in str(refusal.value)


def test_every_variable_has_its_own_name_and_a_description() -> None:
    assert len(ALIASES) == len(Settings.model_fields)
    for field in Settings.model_fields.values():
        assert field.alias == str(field.alias).upper()
        assert field.description
        assert field.description.endswith(".")


# The pages of settings


def example_lines() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    found = re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE)
    assert len(found) == len(dict(found)), "duplicate variable in .env.example"
    return dict(found)


def test_the_example_file_names_every_variable_and_no_other() -> None:
    # RAG_HOME is the folder of this file.
    assert example_lines().keys() == ALIASES - {"RAG_HOME"}


def test_every_line_of_the_example_file_shows_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for alias, value in example_lines().items():
        monkeypatch.setenv(alias, value)
    assert load_settings() == defaults


def test_the_example_file_is_rendered_from_the_settings() -> None:
    assert settings_pages.EXAMPLE_FILE.read_text(encoding="utf-8") == settings_pages.example_file()


def test_the_table_of_settings_is_rendered_from_the_settings() -> None:
    page = settings_pages.PAGE.read_text(encoding="utf-8")
    assert page == settings_pages.with_table(page)
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(ALIASES)


def test_the_page_names_every_field_of_the_launchpad() -> None:
    page = settings_pages.PAGE.read_text(encoding="utf-8")
    section = page.partition("## For one run")[2].partition("\n## ")[0]
    fields = [name for name in KnowledgeBaseResource.model_fields if f"`{name}`" not in section]
    assert fields == []


def test_every_setting_that_a_message_names_exists() -> None:
    texts = [
        node.value
        for path in (ROOT / "rag_assets").rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = {name for text in texts for name in re.findall(r"\bRAG_[A-Z0-9_]*[A-Z0-9]\b", text)}
    assert len(named) > 30
    assert unread_variables(named - set(OLDER_VARIABLES)) == []


# Addresses in messages


def test_the_address_of_dagster_has_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_DAGSTER_URL", "https://dagster.example.com/prefix/")
    assert load_settings().dagster_url == "https://dagster.example.com/prefix"


@pytest.mark.parametrize(
    "url",
    [
        "dagster.example.com",
        "ftp://dagster.example.com",
        "https://ana:top-secret@dagster.example.com",
        "https://dagster.example.com/?token=top-secret",
        "https://dagster.example.com/|text>",
        "https://dagster.example.com:port",
        "https://dagster example.com",
    ],
)
def test_an_address_that_could_break_a_link_or_holds_a_secret_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("RAG_DAGSTER_URL", url)
    with pytest.raises(ConfigurationError, match="RAG_DAGSTER_URL: expected an address such as") as refusal:
        load_settings()
    assert "top-secret" not in str(refusal.value)
