"""Columns as metadata: their types, hostile values, changes, and readers that cannot be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import SourceUnavailable
from rag_assets.sources.declarations import build_sources
from rag_assets.sources.postgres import PostgresSource
from rag_assets.sources.postgres_options import PostgresOptions
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.postgres import PostgresScene
from rag_assets_tests.sources.small_refresh import SmallRefresh

require("psycopg")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[PostgresScene]:
    scene = PostgresScene(tmp_path)
    scene.put("a", "text")
    yield scene
    scene.close()


@pytest.fixture
def refresh(tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path)


def source_of(scene: PostgresScene, *columns: str, **options: Any) -> PostgresSource:
    declared = {**scene.declaration(), "metadata_columns": columns, "timeout_seconds": 10, **options}
    del declared["kind"]
    return PostgresSource("rows", PostgresOptions(**declared))


def column(scene: PostgresScene, name: str, type_name: str, value: Any) -> None:
    quoted = name.replace('"', '""').replace("%", "%%")
    scene.execute(f'ALTER TABLE documents ADD "{quoted}" {type_name}'.replace("%%", "%"))
    scene.execute(f'UPDATE documents SET "{quoted}" = %s', value)


def metadata_of(scene: PostgresScene, *columns: str) -> Metadata:
    (entry,) = source_of(scene, *columns).list_entries()
    return entry.metadata


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("int", 7, 7),
        ("bigint", 2**53 - 1, 2**53 - 1),
        ("numeric", "1.50", 1.5),
        ("double precision", 0.1, 0.1),
        ("boolean", False, False),
        ("text", "  Größe\n2 ", "Größe 2"),
        ("varchar(9)", "2024", "2024"),
        ("date", "2026-01-31", "2026-01-31T00:00:00Z"),
        ("timestamp", "2026-01-31 12:00:00.5", "2026-01-31T12:00:00Z"),
        ("timestamptz", "2026-01-31 12:00:00+02", "2026-01-31T10:00:00Z"),
        ("text[]", ["a", "b"], ("a", "b")),
        ("int[]", [1, 2], ("1", "2")),
        ("uuid", "5a2f6bd5-4d63-5d0c-9c52-0f4f0a7b8f11", "5a2f6bd5-4d63-5d0c-9c52-0f4f0a7b8f11"),
        ("inet", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_every_type_keeps_its_type(scene: PostgresScene, type_name: str, value: Any, expected: Any) -> None:
    column(scene, "field", type_name, value)
    metadata = metadata_of(scene, "field")
    assert dict(metadata) == {"field": expected}
    assert type(metadata["field"]) is type(expected)


def test_json_is_flattened(scene: PostgresScene) -> None:
    column(scene, "props", "jsonb", json.dumps({"color": "red", "sizes": ["S", "M"], "year": 2024}))
    assert dict(metadata_of(scene, "props")) == {
        "props_color": "red",
        "props_sizes": ("S", "M"),
        "props_year": 2024,
    }


def test_null_is_no_metadata(scene: PostgresScene) -> None:
    column(scene, "field", "text", None)
    assert metadata_of(scene, "field") == Metadata()
    assert metadata_of(scene, "field").left_out == ()


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("double precision", "NaN"),
        ("numeric", "NaN"),
        ("real", "-Infinity"),
        ("bigint", 2**53),
        ("numeric", "1" + "0" * 5000),
        ("numeric", "1" + "0" * 20_000),
        ("date", "infinity"),
        ("timestamptz", "-infinity"),
        ("timestamp", "0044-03-15 00:00:00 BC"),
        ("date", "20000-01-01"),
        ("bytea", b"bytes"),
        ("json", "[" * 3000 + "]" * 3000),
        ("json", '{"a": "\\ud800", "b": ' + "[" * 2000 + "]" * 2000 + "}"),
        ("jsonb", json.dumps({f"k{number}": "x" * 100 for number in range(10_000)})),
        ("text[]", ["x" * 100_000] * 3),
    ],
)
def test_a_value_of_no_use_is_left_out_and_counted(scene: PostgresScene, type_name: str, value: Any) -> None:
    column(scene, "field", type_name, value)
    column(scene, "year", "int", 2024)
    metadata = metadata_of(scene, "field", "year")
    assert metadata["year"] == 2024
    assert "field" not in metadata
    assert metadata.left_out, "nothing is left out in silence"


def test_a_long_text_is_cut_before_it_is_sent(scene: PostgresScene) -> None:
    column(scene, "field", "text", "(carried) " * 100_000)
    before = scene.num_bodies
    metadata = metadata_of(scene, "field")
    assert len(str(metadata["field"])) <= 500
    assert metadata.left_out == ("cut: field",)
    assert scene.num_bodies - before <= 201


def test_a_secret_stays_in_the_database(scene: PostgresScene) -> None:
    column(scene, "password", "text", "hunter2")
    column(scene, "link", "text", "https://bucket/a?X-Amz-Signature=abc")
    metadata = metadata_of(scene, "password", "link")
    assert dict(metadata) == {}
    assert metadata.left_out == ("secret: password", "secret: link")


@pytest.mark.parametrize("name", ["100 %", 'the "best"', "it's", "Größe", "Mixed Case", "a;b--c"])
def test_columns_may_have_any_name(scene: PostgresScene, name: str) -> None:
    column(scene, name, "text", "value")
    assert list(metadata_of(scene, name).values()) == ["value"]
    query = "SELECT *, 5 % 3 AS rest FROM documents WHERE body LIKE '%%'"
    source = source_of(scene, name, "rest", table=None, query=query)
    (entry,) = source.list_entries()
    assert entry.metadata["rest"] == 2
    assert "value" in entry.metadata.values()


def test_a_missing_column_is_named(scene: PostgresScene) -> None:
    with pytest.raises(SourceUnavailable, match=r'column "nope" does not exist.*Fix the options'):
        metadata_of(scene, "nope")


@pytest.mark.parametrize(
    ("columns", "words"),
    [(("doc_type", "Doc Type"), "both the key doc_type"), (("%",), "makes no key")],
)
def test_columns_without_a_key_of_their_own_are_refused(
    scene: PostgresScene, columns: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        source_of(scene, *columns)


def test_columns_are_declared_by_a_variable(scene: PostgresScene) -> None:
    column(scene, "year", "int", 2024)
    environment = {
        "RAG_POSTGRES_DSN": scene.dsn,
        "RAG_POSTGRES_TABLE": "documents",
        "RAG_POSTGRES_TEXT_COLUMN": "body",
        "RAG_POSTGRES_METADATA_COLUMNS": "year, title",
    }
    (source,) = build_sources(["postgres"], None, environment)
    (entry,) = source.list_entries()
    assert dict(entry.metadata) == {"year": 2024}


@pytest.mark.parametrize("version", ["updated_at", None])
def test_a_changed_column_changes_the_payload_alone(
    scene: PostgresScene, refresh: SmallRefresh, version: str | None
) -> None:
    column(scene, "year", "int", 2023)
    source = source_of(scene, "year", updated_at_column=version)
    refresh(source)
    before = scene.num_bodies
    scene.execute("UPDATE documents SET year = 2024")
    outcome = refresh(source)
    (state,) = refresh.production.values()
    assert dict(state.location.metadata) == {"year": 2024}
    assert dict(outcome.changes) == {"a": "updated"}
    assert (scene.num_bodies, outcome.num_parsed) == (before, 0), "no text is read"


def test_another_choice_of_columns_reads_no_text(scene: PostgresScene, refresh: SmallRefresh) -> None:
    column(scene, "year", "int", 2023)
    refresh(source_of(scene))
    before = scene.num_bodies
    outcome = refresh(source_of(scene, "year"))
    assert (dict(outcome.changes), scene.num_bodies) == ({"a": "updated"}, before)


# Readers


def readers(refresh: SmallRefresh) -> tuple[str, ...] | None:
    (state,) = refresh.production.values()
    return state.location.access


def test_changed_readers_are_seen_by_the_next_refresh(scene: PostgresScene, refresh: SmallRefresh) -> None:
    column(scene, "readers", "text[]", ["staff", "hr"])
    source = source_of(scene, access_column="readers")
    refresh(source)
    assert readers(refresh) == ("staff", "hr")
    before = scene.num_bodies
    scene.execute("UPDATE documents SET readers = %s", ["hr"])
    outcome = refresh(source)
    assert readers(refresh) == ("hr",)
    assert (scene.num_bodies, outcome.num_parsed) == (before, 0)
    scene.execute("UPDATE documents SET readers = NULL")
    refresh(source)
    assert readers(refresh) == ()


def test_readers_of_another_type_make_nothing_more_visible(
    scene: PostgresScene, refresh: SmallRefresh
) -> None:
    column(scene, "readers", "text[]", ["hr"])
    source = source_of(scene, access_column="readers", access=("everyone",))
    refresh(source)
    scene.execute("ALTER TABLE documents DROP readers, ADD readers int[]")
    scene.execute("UPDATE documents SET readers = ARRAY[1]")
    outcome = refresh(source)
    assert "must be of type text[] or text" in outcome.problem
    assert readers(refresh) == ("hr",)
    scene.execute("ALTER TABLE documents DROP readers")
    assert "readers" in refresh(source).problem
    assert readers(refresh) == ("hr",)
