"""Values that cannot be right, and secrets in wrong places: the message about them never repeats the secret."""

import contextlib
import io
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_assets.cli import main as cli
from rag_assets.environment import file_variable, secret_variables
from rag_assets.errors import RagAssetsError
from rag_assets.invalid_values import may_hold_secrets
from rag_assets.settings import Settings
from rag_assets.sources.declarations import build_sources
from rag_assets_tests.leaks.canaries import canary_of, in_url_of, numbers, secret_options, secret_settings
from rag_assets_tests.leaks.scanner import MARK, canaries_in
from rag_assets_tests.leaks.scenes import REQUIRED

OF_A_KNOWN_FORM = f"sk-proj-{MARK}999abcDEF012345"
"""A key pasted into a variable for something else. Its form gives it away."""

MALFORMED: dict[str, Callable[[str], str]] = {
    "plain": canary_of,
    "with a space": lambda name: f"{canary_of(name)} {canary_of(name)}",
    "with a line end": lambda name: f"{canary_of(name)}\n{canary_of(name)}",
    "unencoded in a URL": lambda name: f"redis://me:{canary_of(name)}@host",
    "with options": lambda name: f"redis://me:{in_url_of(name)}@host/0?ssl=true",
    "as a port": lambda name: f"http://host:{in_url_of(name)}/",
    "as a host": lambda name: f"http://[{in_url_of(name)}",
    "with a login": lambda name: f"https://me:{in_url_of(name)}@host/v1",
    "with a query": lambda name: f"https://host/v1?key={in_url_of(name)}",
    "another scheme": lambda name: f"mysql://me:{in_url_of(name)}@host/x",
    "a connection string": lambda name: f"host=x password={canary_of(name)} port=no",
    "JSON": lambda name: json.dumps({"a": [canary_of(name)]}),
    "half of JSON": lambda name: json.dumps({"a": canary_of(name)})[:-1],
}

IN_PLAIN_RUNS = ("plain", "unencoded in a URL", "as a port", "half of JSON")


def said_about(home: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Return all that the commands print that read every variable, without a network."""
    monkeypatch.chdir(home)
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    for name, value in {"RAG_STATE_DIR": str(home / "state"), "RAG_REDIS_SENTINELS": "", **variables}.items():
        monkeypatch.setenv(name, value)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        for command in (("settings", "--json"), ("status",)):
            try:
                cli.main(command)
            except Exception as error:  # a defect, but not a leak
                traceback.print_exception(error)
                raise
    return printed.getvalue()


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=() if form in IN_PLAIN_RUNS else pytest.mark.soak) for form in MALFORMED],
)
@pytest.mark.parametrize("name", secret_settings())
def test_a_malformed_secret_is_not_repeated(
    name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "REDIS" in name or "QDRANT" in name or name == "RAG_METADATA_URL":
        more = {}
    else:
        more = {"RAG_EMBEDDING_MODEL": "tiny-embedding"}
    assert (
        canaries_in(said_about(tmp_path, monkeypatch, **{name: MALFORMED[form](name)}, **more).encode())
        == set()
    )


@pytest.mark.parametrize(
    "name",
    [str(field.alias) for field in Settings.model_fields.values() if may_hold_secrets(field.annotation)],
)
def test_a_secret_in_place_of_its_file_or_its_name_in_aws_is_not_repeated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = said_about(tmp_path, monkeypatch, **{file_variable(name): canary_of(name)})
    assert file_variable(name) in said
    assert canaries_in(said.encode()) == set()
    monkeypatch.delenv(file_variable(name))
    for variable in secret_variables(name)[2:]:
        said = said_about(tmp_path, monkeypatch, **{variable: OF_A_KNOWN_FORM})
        assert canaries_in(said.encode()) == set()
        said = said_about(tmp_path, monkeypatch, **{variable: "a/name", name: canary_of(name)})
        assert canaries_in(said.encode()) == set()
        monkeypatch.delenv(variable)


@pytest.mark.parametrize("content", ["unreadable", "binary", "empty line before"])
def test_an_unusable_file_of_a_secret_is_not_repeated(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    secret = canary_of("OPENAI_API_KEY").encode()
    path.write_bytes(
        {"binary": b"\xff\xfe", "empty line before": b"\n\n"}.get(content, b"") + secret + b"\r\n"
    )
    if content == "unreadable":
        path = path / "below"
    said = said_about(
        tmp_path, monkeypatch, OPENAI_API_KEY_FILE=str(path), RAG_EMBEDDING_MODEL="text-embedding-3-small"
    )
    assert canaries_in(said.encode()) == set()


@pytest.mark.parametrize("name", [str(field.alias) for field in Settings.model_fields.values()])
def test_a_key_in_any_variable_is_not_repeated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = said_about(tmp_path, monkeypatch, **{name: OF_A_KNOWN_FORM})
    assert canaries_in(said.replace(str(tmp_path), "").encode()) == set()


@pytest.mark.parametrize(
    "line",
    [
        "OPENAI_API_KEY {}",
        "OPENAI_API_KEY: {}",
        "export OPENAI_API_KEY '{}",
        "{}",
        "{}=1",
        "RAG_OPENAI_API_KEY={}",
        "RAG_{}=1",
        "OPENAI_API_KEY={}\nOPENAI_API_KEY_FILE=/x",
    ],
)
def test_a_malformed_env_file_is_not_repeated(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        f"RAG_CHUNK_SIZE=64\n{line.format(OF_A_KNOWN_FORM)}\nRAG_CHUNK_OVERLAP=3\n"
    )
    assert canaries_in(said_about(tmp_path, monkeypatch).encode()) == set()


@pytest.mark.parametrize("option", secret_options())
@pytest.mark.parametrize(
    "form", ["plain", "with a login", "half of JSON", "as a host", "a connection string"]
)
def test_a_malformed_option_is_not_repeated(
    option: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, name = option.partition(".")
    value = MALFORMED[form](option)
    source = {"kind": kind, **REQUIRED.get(kind, {}), name: value}
    said = said_about_sources(tmp_path, {"sources": {"one": source}}, monkeypatch)
    assert canaries_in(said.encode()) == set()


def said_about_sources(home: Path, content: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    path = home / "sources.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    said = said_about(home, monkeypatch, RAG_SOURCES_FILE=str(path))
    try:
        build_sources((), path, {}, home)
    except RagAssetsError as error:
        said += "".join(traceback.format_exception(error))
    return said


@pytest.mark.parametrize(
    "content",
    [
        {"sources": {OF_A_KNOWN_FORM: {"kind": "notion"}}},
        {"sources": {f"{OF_A_KNOWN_FORM}!": {"kind": "notion"}}},
        {"sources": {"a": {"kind": OF_A_KNOWN_FORM}}},
        {"sources": {"a": {"kind": "notion", OF_A_KNOWN_FORM: 1}}},
        {"sources": {"a": {"kind": "notion", "token": f"${{{OF_A_KNOWN_FORM.replace('-', '_')}}}"}}},
        {"sources": {"a": {"kind": "notion", "token": {"a": OF_A_KNOWN_FORM}}}},
        {"sources": {"a": {"kind": "notion", "page_size": OF_A_KNOWN_FORM, "token": "t"}}},
        {"sources": {"a": {"kind": "langchain", "loader": OF_A_KNOWN_FORM}}},
        {"sources": {"a": {"kind": "langchain", "loader": f"a{MARK}999.B"}}},
        {"sources": {"a": OF_A_KNOWN_FORM}},
        {"sources": [OF_A_KNOWN_FORM]},
        {OF_A_KNOWN_FORM: 1},
        f"sources:\n  a: {OF_A_KNOWN_FORM}: : [",
        f"token: !{OF_A_KNOWN_FORM} x",
        f"a: *{OF_A_KNOWN_FORM}",
    ],
)
def test_a_key_in_a_wrong_place_of_the_sources_file_is_not_repeated(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert canaries_in(said_about_sources(tmp_path, content, monkeypatch).encode()) == set()


def test_every_secret_has_a_number_of_its_own() -> None:
    assert len(set(numbers().values())) == len(numbers()) < 900
