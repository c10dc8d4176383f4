"""The pages about sources: all options are documented, and the printed example keeps the contract."""

import importlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rag_assets.sources.registry import SOURCES
from rag_assets_tests.pipeline import Pipeline
from rag_assets_tests.sources import test_contract as contract
from rag_assets_tests.sources.scenes.base import Failure

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_every_option_of_a_source_is_documented(kind: str) -> None:
    section = re.split(rf"^## {kind}$", (DOCS / "sources.md").read_text(encoding="utf-8"), flags=re.M)[1]
    section = section.partition("\n## ")[0]
    for name, field in SOURCES[kind].Options.model_fields.items():
        if name not in ("access", "timeout_seconds"):
            assert re.search(rf"^\| `{name}` \| .* \| {re.escape(str(field.description))}", section, re.M), (
                name
            )


class SqliteScene:
    """A database file. It counts nothing: `num_bodies` stays 0."""

    kind = "sqlite"
    failures: tuple[Failure, ...] = ("refused", "error")

    def __init__(self, folder: Path) -> None:
        self._file = folder / "documents.sqlite"
        self._edition = 0
        self.num_bodies = 0
        self._run("CREATE TABLE documents (id TEXT PRIMARY KEY, text TEXT, updated_at INTEGER)")

    def declaration(self) -> dict[str, Any]:
        return {"kind": self.kind, "file": str(self._file)}

    def put(self, name: str, text: str) -> None:
        self._edition += 1
        self._run("INSERT OR REPLACE INTO documents VALUES (?,?,?)", name, text, self._edition)

    def remove(self, name: str) -> None:
        self._run("DELETE FROM documents WHERE id=?", name)

    @contextmanager
    def failing(self, how: Failure) -> Iterator[None]:
        away = self._file.with_name("away")
        self._file.rename(away)
        if how == "error":
            self._file.write_bytes(b"no database" * 100)
        try:
            yield
        finally:
            away.replace(self._file)

    def close(self) -> None:
        pass

    def _run(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self._file)) as connection, connection:
            connection.execute(statement, values)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteScene:
    """The example of the page: one new file, and two lines in the registry."""
    page = (DOCS / "adding-a-source.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(code.splitlines()) <= 60
    for line in ("from rag_assets.sources.sqlite_rows import SqliteSource", '"sqlite": SqliteSource,'):
        assert f"\n    {line}\n" in page
    (tmp_path / "sqlite_rows.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SOURCES, "sqlite", importlib.import_module("sqlite_rows").SqliteSource)
    return SqliteScene(tmp_path)


def test_the_example_keeps_the_contract(example: SqliteScene, tmp_path: Path) -> None:
    for name in contract.NAMES:
        example.put(name, contract.text_of(name))
    contract.test_every_option_is_described()
    contract.test_every_document_is_listed_once_and_read(example, tmp_path)
    contract.test_unchanged_documents_are_not_transferred_again(example, tmp_path)
    for how in example.failures:
        contract.test_an_outage_is_reported_in_time(example, tmp_path, how)
        contract.test_reading_during_an_outage_ends_in_time(example, tmp_path, how)
    contract.test_only_what_changed_is_read(example, tmp_path)
    entries = contract.source_of(example, tmp_path).list_entries()
    assert {entry.metadata["table"] for entry in entries} == {"documents"}


@pytest.mark.slow
def test_the_example_needs_only_variables(
    example: SqliteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(tmp_path / "home", monkeypatch)
    pipeline.populate()
    example.put("row", "The word quaggavint stands in a row of a table.")
    pipeline.configure(RAG_SOURCES="filesystem,sqlite", RAG_SQLITE_FILE=str(example.declaration()["file"]))
    pipeline.refresh().checked()
    assert pipeline.search("what is a quaggavint?")[0]["locations"][0]["document_id"] == "sqlite:row.txt"
    pipeline.close()
