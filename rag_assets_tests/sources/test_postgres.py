"""Rows as documents: meaning of the columns, number of queries, and secrets in errors."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rag_assets.errors import DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources import postgres
from rag_assets.sources.postgres import PostgresSource
from rag_assets.sources.postgres_options import PostgresOptions
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.postgres import PostgresScene
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD

require("psycopg")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[PostgresScene]:
    scene = PostgresScene(tmp_path)
    yield scene
    scene.close()


def source_of(scene: PostgresScene, **options: Any) -> PostgresSource:
    declared = {**scene.declaration(), **options}
    del declared["kind"]
    return PostgresSource("rows", PostgresOptions(**declared))


def query_source(scene: PostgresScene, query: str, **options: Any) -> PostgresSource:
    return source_of(scene, table=None, query=query, **options)


def entries_of(source: PostgresSource) -> dict[str, SourceEntry]:
    return {entry.path: entry for entry in source.list_entries()}


def text_of(source: PostgresSource, entry: SourceEntry) -> str:
    reading = source.read(entry)
    assert reading is not None
    return reading.data.decode()


def problem_of(source: PostgresSource) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        list(source.list_entries())
    return str(caught.value)


# What a row is


@pytest.mark.parametrize(
    ("type_name", "ids"),
    [
        ("int", ["2", "10"]),
        ("uuid", sorted(str(uuid.UUID(int=number)) for number in (1, 2))),
        ("text", ["a/b c/ü%d?#.x", 'it\'s "quoted" {id} \\']),
        ("timestamptz", ["2026-01-02 03:04:05.000006+00", "2026-01-02 03:04:05.000007+00"]),
    ],
)
def test_ids_may_have_any_type(scene: PostgresScene, type_name: str, ids: list[str]) -> None:
    scene.execute(f"CREATE TABLE typed (id {type_name} PRIMARY KEY, body text)")
    scene.execute(f"GRANT SELECT ON typed TO {scene.user}")
    for row_id in ids:
        scene.execute(f"INSERT INTO typed VALUES (%s::{type_name}, %s)", row_id, f"text of {row_id}")
    source = source_of(scene, table="public.typed", title_column=None, updated_at_column=None)
    entries = entries_of(source)
    assert sorted(entries) == sorted(ids)
    for row_id, entry in entries.items():
        assert text_of(source, entry) == f"text of {row_id}"


def test_an_id_is_quoted_in_its_url(scene: PostgresScene) -> None:
    scene.put("a/b c", "text")
    (entry,) = source_of(scene, url_template="https://wiki.example.com/{id}").list_entries()
    assert entry.uri == "https://wiki.example.com/a%2Fb%20c"
    assert entry.filename == "b c.txt"


@pytest.mark.parametrize(("written_in", "ending"), [("text", ".txt"), ("markdown", ".md"), ("html", ".html")])
def test_the_format_selects_the_parser(scene: PostgresScene, written_in: str, ending: str) -> None:
    scene.put("a", "text")
    (entry,) = source_of(scene, format=written_in).list_entries()
    assert entry.filename == f"a{ending}"


def test_a_title_column_gives_the_title(scene: PostgresScene) -> None:
    scene.put("a", "text")
    scene.execute("UPDATE documents SET title = 'The title'")
    source = source_of(scene)
    reading = source.read(entries_of(source)["a"])
    assert reading is not None
    assert reading.title == "The title"


def test_a_microsecond_is_another_version(scene: PostgresScene) -> None:
    scene.put("a", "text")
    tokens = set()
    for microsecond in ("000001", "000002"):
        scene.execute("UPDATE documents SET updated_at = %s", f"2026-01-02 03:04:05.{microsecond}+01")
        (entry,) = source_of(scene).list_entries()
        tokens.add(entry.version_token)
        assert entry.modified_at == "2026-01-02T02:04:05Z"
    assert len(tokens) == 2


@pytest.mark.parametrize("value", ["infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "20000-01-01"])
def test_a_time_outside_of_the_calendar_is_still_a_version(scene: PostgresScene, value: str) -> None:
    scene.put("a", "text")
    scene.execute("UPDATE documents SET updated_at = %s", value)
    (entry,) = source_of(scene).list_entries()
    assert entry.version_token
    assert entry.modified_at is None


def test_another_text_column_is_another_version(scene: PostgresScene) -> None:
    scene.put("a", "text")
    (of_body,) = source_of(scene).list_entries()
    (of_title,) = source_of(scene, text_column="title").list_entries()
    assert of_body.version_token != of_title.version_token


def test_a_query_can_replace_a_table(scene: PostgresScene) -> None:
    scene.put("a", "five % of it")
    scene.put("b", "nothing of it")
    source = query_source(
        scene,
        "SELECT 'doc-' || id AS id, body, title, updated_at FROM documents WHERE body LIKE '%\\%%' -- ends\n;",
    )
    entries = entries_of(source)
    assert list(entries) == ["doc-a"]
    assert text_of(source, entries["doc-a"]).startswith("five % of it")


def test_a_query_cannot_write(scene: PostgresScene) -> None:
    scene.put("a", "text")
    scene.execute(
        f"GRANT ALL ON documents TO {scene.user};"
        "CREATE FUNCTION meddle(text) RETURNS text LANGUAGE sql AS"
        " $$ DELETE FROM documents WHERE id = $1 RETURNING id $$"
    )
    source = query_source(scene, "SELECT meddle(id) AS id, body, title, updated_at FROM documents")
    assert "the query writes" in problem_of(source)
    assert scene.execute("SELECT count(*) FROM documents") == [(1,)]


def test_names_may_hold_a_percent_sign(scene: PostgresScene) -> None:
    scene.put("a", "five percent")
    scene.execute(
        'CREATE TABLE "50%s (all)" AS SELECT id AS "%(id)s", body AS "100%", title AS "%%t", updated_at AS "at%" '
        "FROM documents"
    )
    scene.execute(f'GRANT SELECT ON "50%s (all)" TO {scene.user}')
    source = source_of(
        scene,
        table="50%s (all)",
        id_column="%(id)s",
        text_column="100%",
        title_column="%%t",
        updated_at_column="at%",
    )
    (entry,) = source.list_entries()
    assert text_of(source, entry).startswith("five percent")


def test_names_of_columns_cannot_be_sql(scene: PostgresScene) -> None:
    scene.put("a", "text")
    problem = problem_of(source_of(scene, id_column='id" FROM documents; DROP TABLE documents; --'))
    assert "does not exist" in problem
    assert scene.execute("SELECT count(*) FROM documents") == [(1,)]


@pytest.mark.parametrize(
    "options", [{"query": "SELECT 1"}, {"table": None}, {"table": "a.b.c"}, {"url_template": "x"}]
)
def test_contradicting_options_are_refused(scene: PostgresScene, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source_of(scene, **options)


# Rows without a version


def test_a_row_without_a_version_is_transferred_once(scene: PostgresScene) -> None:
    for name in "abc":
        scene.put(name, f"text of {name}")
    scene.execute("UPDATE documents SET updated_at = NULL")
    source = source_of(scene)
    tokens: dict[str, str] = {}
    for entry in list(source.list_entries()):
        assert entry.version_token == ""
        reading = source.read(entry)
        assert reading is not None
        tokens[entry.path] = reading.version_token
    assert scene.num_bodies == 3
    scene.execute("UPDATE documents SET body = 'other (carried)' WHERE id = 'b'")
    scene.execute("UPDATE documents SET title = 'new' WHERE id = 'c'")
    changed = [entry.path for entry in list(source.list_entries()) if source.read(entry, tokens[entry.path])]
    assert changed == ["b", "c"]
    assert scene.num_bodies == 5


# Access


@pytest.mark.parametrize(
    ("type_name", "value", "access"),
    [
        ("text[]", ["staff", "hr"], ("staff", "hr")),
        ("text[]", [], ()),
        ("text[]", None, ()),
        ("text[]", ["a,b", None, " "], ("a,b",)),
        ("text", "staff, hr,", ("staff", "hr")),
        ("text", None, ()),
    ],
)
def test_readers_of_a_row(scene: PostgresScene, type_name: str, value: Any, access: tuple[str, ...]) -> None:
    scene.put("a", "text")
    scene.execute(f"ALTER TABLE documents ADD readers {type_name}")
    scene.execute("UPDATE documents SET readers = %s", value)
    (entry,) = source_of(scene, access_column="readers", access=("everybody",)).list_entries()
    assert entry.access == access


def test_an_invalid_access_column_gives_no_access(scene: PostgresScene) -> None:
    scene.put("a", "text")
    scene.execute("""ALTER TABLE documents ADD readers jsonb DEFAULT '{"staff": true}'""")
    assert "must be of type text[] or text" in problem_of(source_of(scene, access_column="readers"))


# Reading


def test_many_rows_need_few_queries(scene: PostgresScene) -> None:
    scene.execute(
        "INSERT INTO documents (id, body) SELECT to_char(n, '000'), 'text ' || n FROM generate_series(1, 300) n"
    )
    source = source_of(scene)
    texts = [text_of(source, entry) for entry in list(source.list_entries())]
    assert texts == [f"text {number}" for number in range(1, 301)]
    # One for the listing, to see whether there will be texts, which asks for none.
    assert scene.proxy.num_questions <= 10


def test_reading_single_rows_fetches_nothing_ahead(scene: PostgresScene) -> None:
    for name in "abcdef":
        scene.put(name, "text")
    source = source_of(scene)
    entries = entries_of(source)
    for name in "ace":
        source.read(entries[name])
    assert scene.num_bodies == 3


def test_long_texts_are_not_read_ahead(scene: PostgresScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_MOST_BYTES_AHEAD", 100)
    for name in "abcdef":
        scene.put(name, name * 200)
    source = source_of(scene)
    for number, entry in enumerate(list(source.list_entries()), start=1):
        assert text_of(source, entry).startswith(entry.path * 200)
        assert scene.num_bodies == number


def test_a_text_over_the_limit_is_not_transferred(scene: PostgresScene) -> None:
    scene.put("a", "ä" * 600)
    scene.put("b", "short")
    source = source_of(scene, max_bytes=1000)
    entries = entries_of(source)
    with pytest.raises(DocumentUnreadable) as caught:
        source.read(entries["a"])
    assert caught.value.reason == "too_large"
    assert text_of(source, entries["b"]).startswith("short")
    assert scene.num_bodies == 1


def test_a_row_listed_and_then_missing_is_unreadable(scene: PostgresScene) -> None:
    for name in "abcd":
        scene.put(name, "text")
    source = source_of(scene)
    entries = entries_of(source)
    for name in "bd":
        scene.remove(name)
    read = {name: text_of(source, entries[name]) for name in "ac"}
    assert set(read) == {"a", "c"}
    for name in "bd":
        with pytest.raises(DocumentUnreadable, match="next refresh") as caught:
            source.read(entries[name])
        assert not isinstance(caught.value, DocumentGone)


def test_a_row_without_a_text_is_empty(scene: PostgresScene) -> None:
    scene.put("a", "text")
    scene.execute("UPDATE documents SET body = NULL")
    source = source_of(scene)
    assert text_of(source, entries_of(source)["a"]) == ""


def test_a_row_with_a_failing_column_affects_only_itself(scene: PostgresScene) -> None:
    for name in ("1", "2", "0", "4", "5"):
        scene.put(name, "text")
    source = query_source(
        scene, "SELECT id, (1 / id::int)::text || body AS body, title, updated_at FROM documents"
    )
    outcomes: dict[str, str] = {}
    for entry in list(source.list_entries()):
        try:
            outcomes[entry.path] = text_of(source, entry)
        except DocumentUnreadable as error:
            outcomes[entry.path] = error.detail
    assert "DivisionByZero" in outcomes.pop("0")
    assert all("text" in text for text in outcomes.values())
    assert len(outcomes) == 4


def test_a_lost_connection_is_opened_again(scene: PostgresScene) -> None:
    for name in "abc":
        scene.put(name, "text")
    source = source_of(scene)
    entries = entries_of(source)
    source.read(entries["a"])
    scene.proxy.cut()
    assert text_of(source, entries["c"]).startswith("text")


def test_nothing_read_ahead_outlives_a_listing(scene: PostgresScene) -> None:
    for name in "abcd":
        scene.put(name, "old")
    source = source_of(scene)
    entries = entries_of(source)
    for name in "ab":
        source.read(entries[name])  # and c with it
    scene.put("c", "new")
    entries = entries_of(source)
    assert text_of(source, entries["c"]).startswith("new")


def test_the_connection_is_closed_with_the_source(scene: PostgresScene) -> None:
    scene.put("a", "text")
    source = source_of(scene)
    source.read(entries_of(source)["a"])
    del source
    deadline = 100
    while scene.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", scene.user) != [(0,)]:
        deadline -= 1
        assert deadline, "a connection is left"
        scene.execute("SELECT pg_sleep(0.05)")


# What goes wrong


def test_a_duplicate_id_is_named(scene: PostgresScene) -> None:
    scene.put("a", "text")
    source = query_source(scene, "SELECT * FROM documents UNION ALL SELECT 'a', 'other', NULL, NULL")
    assert "two rows have the id 'a'" in problem_of(source)


def test_a_row_without_an_id_is_an_error(scene: PostgresScene) -> None:
    assert "title is NULL in a row" in problem_of(
        query_source(scene, "SELECT 'a' AS body, NULL::text AS title, NULL AS updated_at", id_column="title")
    )


def test_invalid_tables_and_columns_are_reported_before_listing(scene: PostgresScene) -> None:
    scene.put("a", "text")
    assert 'relation "nothing" does not exist' in problem_of(source_of(scene, table="nothing"))
    for option in ("id_column", "text_column", "title_column", "updated_at_column", "access_column"):
        assert 'column "missing" does not exist' in problem_of(source_of(scene, **{option: "missing"}))
    scene.execute("ALTER TABLE documents ADD picture bytea")
    assert "Is text_column of type text?" in problem_of(source_of(scene, text_column="picture"))
    assert "SyntaxError" in problem_of(query_source(scene, "SELECT FROM WHERE"))


def test_a_slow_query_is_ended(scene: PostgresScene) -> None:
    source = query_source(
        scene, "SELECT id, body, title, updated_at FROM documents, pg_sleep(30)", timeout_seconds=0.2
    )
    scene.put("a", "text")
    assert "took longer than timeout_seconds" in problem_of(source)


def test_a_locked_table_is_given_up(scene: PostgresScene) -> None:
    with scene.connection.transaction():
        scene.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
        assert "took longer than timeout_seconds" in problem_of(source_of(scene, timeout_seconds=0.2))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:top%40secret@127.0.0.1:{port}/nothing",
        "postgresql://user:top@secret@127.0.0.1:{port}/nothing",
        "postgresql://user:top/secret@127.0.0.1:{port}/nothing",
        "postgresql://user:12/top@secret@127.0.0.1:{port}/nothing",
        "postgres//user:topsecret@127.0.0.1/nothing",
        "password=topsecret nonsense=1",
        "host=127.0.0.1 port={port} user=user password=topsecret dbname=nothing",
    ],
)
def test_no_error_contains_the_password(scene: PostgresScene, dsn: str) -> None:
    source = source_of(scene, dsn=dsn.format(port=scene.proxy.port))
    problem = problem_of(source)
    assert "secret" not in problem
    assert "secret" not in repr(source.options)


def test_a_wrong_password_is_reported(scene: PostgresScene) -> None:
    problem = problem_of(source_of(scene, dsn=scene.dsn.replace("all@", "some@")))
    assert "password authentication failed" in problem
    assert PASSWORD.partition("@")[0] not in problem


def test_no_error_quotes_a_row(scene: PostgresScene) -> None:
    scene.put("a", "a private text")
    source = query_source(scene, "SELECT id, body, title, body::int AS updated_at FROM documents")
    problem = problem_of(source)
    assert "InvalidTextRepresentation" in problem
    assert "private" not in problem


# Row-level security


@pytest.fixture
def hidden(scene: PostgresScene) -> PostgresScene:
    """Row c is hidden from the user by a policy."""
    for name in "abc":
        scene.put(name, f"text of {name}")
    scene.execute("ALTER TABLE documents ENABLE ROW LEVEL SECURITY")
    scene.execute("CREATE POLICY most ON documents USING (id <> 'c')")
    return scene


def listing_of(source: PostgresSource) -> tuple[set[str], str]:
    """Return the listed paths, and the reason for an incomplete listing."""
    listed: set[str] = set()
    try:
        for entry in source.list_entries():
            listed.add(entry.path)
    except SourceUnavailable as error:
        return listed, str(error)
    return listed, ""


@pytest.mark.parametrize("what", ["table", "query", "view"])
def test_rows_hidden_from_the_user_are_no_deletions(hidden: PostgresScene, what: str) -> None:
    """The listing is incomplete: rows are refreshed, and none is deleted."""
    if what == "table":
        source = source_of(hidden)
    elif what == "query":
        source = query_source(hidden, "SELECT * FROM documents")
    else:
        hidden.execute("CREATE VIEW shown WITH (security_invoker) AS SELECT * FROM documents")
        hidden.execute(f"GRANT SELECT ON shown TO {hidden.user}")
        source = source_of(hidden, table="shown")
    listed, problem = listing_of(source)
    assert listed == {"a", "b"}
    assert "row-level security" in problem
    assert "`row_security`" in problem
    assert text_of(source, entries_of(source_of(hidden, row_security=True))["a"])


def test_row_security_is_meant_if_the_option_says_so(hidden: PostgresScene) -> None:
    assert listing_of(source_of(hidden, row_security=True)) == ({"a", "b"}, "")


def test_row_security_without_an_effect_on_the_user_is_no_reason(hidden: PostgresScene) -> None:
    hidden.execute(f"ALTER ROLE {hidden.user} BYPASSRLS")
    assert listing_of(source_of(hidden)) == ({"a", "b", "c"}, "")


def test_a_missing_permission_is_not_taken_for_row_security(hidden: PostgresScene) -> None:
    hidden.execute(f"REVOKE SELECT ON documents FROM {hidden.user}")
    assert "permission denied" in problem_of(source_of(hidden))
