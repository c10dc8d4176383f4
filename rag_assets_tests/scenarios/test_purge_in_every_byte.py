"""A purge in every byte of every part at once: the same scanner finds the sentence and the names before, and not after.

Refreshes run by Dagster's own command, which captures the output of steps. Two installations: SQLite files only, and PostgreSQL for
Dagster and for the metadata tables, with Redis and its files.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from rag_assets_tests.canary import holds, places_of_each
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, Reply, Request
from rag_assets_tests.processes.refresh_command import Printed, run_command
from rag_assets_tests.processes.scene import Scene, materialize, new_scene
from rag_assets_tests.redis_servers import RedisServer, require_redis
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, data_folder, server_port

pytestmark = pytest.mark.slow

CANARY = "Seventeen kestrels hum the Zürich timetable backwards"
NAME = "severance_of_quillfeather"
DEPARTMENT = "the department of unrepeatable birds"
"""Shown in the UI: the value of RAG_EVAL_SLICE_BY."""
CANARIES = (CANARY, NAME, DEPARTMENT)
FORBIDDEN = "zzforbidden"
TEXT = f"---\ntitle: {CANARY}\nauthor: {CANARY}\ndepartment: {DEPARTMENT}\nkeywords: {CANARY}\n---\n# {CANARY}\n\n{CANARY}, and so on.\n"
DOCUMENTS = {
    f"hr/{NAME}.md": TEXT.encode(),
    f"hr/{NAME}_refused.md": f"# {CANARY}\n\n{FORBIDDEN} {CANARY}.\n".encode(),
    f"hr/{NAME}_broken.pdf": f"%PDF-1.4 {CANARY}".encode(),
    f"hr/{NAME}_broken.json": f'{{"title": "{CANARY}", {CANARY}'.encode(),
}
DEPLOYMENT = Path(__file__).parents[2] / "deployment" / "dagster.yaml"


def refuse(request: Request, reply: Reply) -> None:
    """Refuse a text, and quote it."""
    if any(FORBIDDEN in text for text in request.texts):
        reply.status = 400
        reply.body = {"error": {"message": f"filtered: {request.texts!r}", "code": "content_filter"}}


def fail(request: Request, reply: Reply) -> None:
    """Fail, and quote everything."""
    reply.status = 400
    reply.body = {"error": {"message": f"no: {request.texts!r}", "code": "invalid_request_error"}}


@dataclass
class Installation:
    """All parts of one installation.

    Attributes:
        parts: name -> folder.
        databases: names in PostgreSQL.
    """

    scene: Scene
    server: FakeOpenAI
    parts: dict[str, Path]
    variables: dict[str, str] = field(default_factory=dict[str, str])
    databases: tuple[str, ...] = ()
    redis: RedisServer | None = None

    def refresh(self) -> str:
        process = materialize(self.scene, **self.variables)
        output, _ = process.communicate(timeout=300)
        return output

    def run(self, *arguments: str) -> Printed:
        return run_command(self.scene, *arguments, **self.variables)

    def found(self) -> dict[str, dict[str, list[str]]]:
        """Return canary -> part -> places with it."""
        found: dict[str, dict[str, list[str]]] = {canary: {} for canary in CANARIES}
        for name in self.databases:
            self.admin(name, "CHECKPOINT")
            for canary, tables in rows_with(name).items():
                found[canary][f"rows of {name}"] = tables
        for part, folder in self.parts.items():
            for canary, places in places_of_each(CANARIES, folder).items():
                found[canary][part] = places
        return found

    def admin(self, database: str, *statements: str) -> None:
        with connected(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def connected(database: str) -> "psycopg.Connection[Any]":
    return psycopg.connect(
        f"host=127.0.0.1 port={server_port()} user=postgres password={PASSWORD} dbname={database}",
        autocommit=True,
    )


def rows_with(database: str) -> dict[str, list[str]]:
    """Return canary -> the tables with it in a row."""
    with connected(database) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        found: dict[str, list[str]] = {canary: [] for canary in CANARIES}
        for schema, table in [*tables, ("pg_catalog", "pg_stats")]:
            rows = connection.execute(
                sql.SQL("SELECT one::text FROM {} AS one").format(sql.Identifier(schema, table))
            ).fetchall()
            text = "\n".join(row[0] for row in rows).encode()
            for canary in CANARIES:
                if holds(canary, text):
                    found[canary].append(table)
        return found


@pytest.fixture(params=["files", "services"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    with FakeOpenAI() as server:
        server.habits.append(refuse)
        scene = new_scene(tmp_path)
        variables = {
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": server.base_url,
            "RAG_EMBEDDING_MODEL": "tiny-embedding",
            "RAG_TOKENIZER": "wordllama",
            "RAG_EVAL_THRESHOLD": "0.1",
            "RAG_EVAL_SLICE_BY": "department",
        }
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        variables["TMPDIR"] = str(temporary)
        parts = {"state": scene.state_dir, "temporary files": temporary}
        if request.param == "files":
            parts |= {"Dagster": scene.home / ".dagster"}
            yield Installation(scene, server, parts, variables)
            return
        require_redis()
        databases = ("dagster_of_purge", "tables_of_purge")
        with connected("postgres") as admin:
            for name in databases:
                admin.execute(f"DROP DATABASE IF EXISTS {name}".encode())
                admin.execute(f"CREATE DATABASE {name}".encode())
        shutil.copy(DEPLOYMENT, scene.home / "dagster.yaml")
        variables |= {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(server_port()),
            "DAGSTER_POSTGRES_DB": databases[0],
            "DAGSTER_POSTGRES_USER": "postgres",
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_LOCAL_FOLDER": str(tmp_path / "files"),
            "RAG_METADATA_URL": f"postgresql://postgres:{PASSWORD.replace('@', '%40')}@127.0.0.1:{server_port()}/{databases[1]}",
        }
        with RedisServer(tmp_path / "redis", "appendonly yes", "save 3600 1", "rdbcompression no") as redis:
            variables["REDIS_URL"] = redis.url
            parts |= {"Dagster": tmp_path / "files", "Redis": tmp_path / "redis", "PostgreSQL": data_folder()}
            yield Installation(scene, server, parts, variables, databases, redis)


def check_everything_held_it(installation: Installation) -> None:
    """The scanner finds the sentence and the name, in each place that holds them."""
    found = installation.found()
    in_state = " ".join(found[CANARY]["state"])
    for place in (
        "raw_documents",
        "deduped_documents",
        "chunks",
        "staging_collection",
        "vector_store",
        "texts",
    ):
        assert place in in_state, place
    assert "eval_report" in " ".join(found[NAME]["state"])
    assert "eval_report" in " ".join(found[DEPARTMENT]["state"])
    outputs = [path.read_text() for path in installation.parts["Dagster"].rglob("*.err")]
    assert any("chunks" in text for text in outputs), "no output of a step was captured"
    if installation.redis is None:
        assert found[NAME]["Dagster"]
        assert "ledger.sqlite" in in_state
        assert "metadata.sqlite" in " ".join(found[NAME]["state"])
    else:
        in_redis = " ".join(found[CANARY]["Redis"])
        assert ".aof" in in_redis
        assert ".rdb" in in_redis
        assert "rag_documents" in found[NAME]["rows of tables_of_purge"]
        assert found[NAME]["rows of dagster_of_purge"]
        in_postgres = " ".join(found[NAME]["PostgreSQL"])
        assert "base/" in in_postgres
        assert "pg_wal/" in in_postgres
        assert found[CANARY]["PostgreSQL"] == [], "Dagster and the metadata tables hold no text"
    assert found[CANARY]["temporary files"] == [], "the dry run has ended"


def check_nothing_is_left(installation: Installation, backup: Path) -> None:
    installation.parts["backup"] = backup
    found = installation.found()
    assert {part: places for part, places in found[CANARY].items() if places} == {}
    names = {part for part, places in found[NAME].items() if places}
    assert names <= {"Dagster", "rows of dagster_of_purge", "PostgreSQL"}, found[NAME]
    assert found[DEPARTMENT]["state"] == []
    if not installation.databases:
        return
    # The commands of docs/purge.md, for the administrator of the server.
    tables, dagster = "tables_of_purge", "dagster_of_purge"
    installation.admin(tables, "VACUUM FULL pg_catalog.pg_statistic")
    installation.admin("postgres", f"DROP DATABASE {dagster} WITH (FORCE)")
    installation.databases = (tables,)
    installation.admin("postgres", "ALTER SYSTEM SET wal_recycle = off", "SELECT pg_reload_conf()")
    try:
        installation.admin("postgres", *["SELECT pg_switch_wal()", "CHECKPOINT"] * 2)
        assert installation.found()[NAME]["PostgreSQL"] == []
    finally:
        installation.admin("postgres", "ALTER SYSTEM RESET wal_recycle", "SELECT pg_reload_conf()")


@pytest.mark.timeout(1200)
def test_nothing_is_left_in_any_part(installation: Installation, tmp_path: Path) -> None:
    scene, server = installation.scene, installation.server
    secret = scene.documents / "hr" / f"{NAME}.md"
    secret.parent.mkdir()
    for name, content in DOCUMENTS.items():
        (scene.documents / name).write_bytes(content)
    question = {"query": "how many birds?", "expected_docs": [f"hr/{NAME}.md", f"{NAME}.md"]}
    benchmark = scene.benchmark.read_text()
    scene.benchmark.write_text(benchmark + json.dumps(question) + "\n")
    assert "live: 8 documents" in installation.refresh()
    secret.write_text(TEXT + "\nA second version.\n")
    assert "live: 8 documents" in installation.refresh()
    assert installation.run("plan").code == 7
    secret.write_text(TEXT + "\nA third version.\n")
    server.habits.append(fail)
    assert "RUN_FAILURE" in installation.refresh()
    server.habits.remove(fail)
    if installation.redis is not None:
        installation.redis.client().save()
    check_everything_held_it(installation)
    for name in DOCUMENTS:
        done = installation.run(
            "purge", name, "--accept", "--reason", f"request 7 about {name}", "--by", "ana"
        )
        assert done.code == 0, done
        assert "may be left" not in done.errors
    scene.benchmark.write_text(benchmark)  # as the command says: the questions are the user's
    # The source still has all of them.
    assert "production_collection - unchanged" in installation.refresh()
    backup = tmp_path / "backup"
    assert installation.run("backup", str(backup)).code == 0
    check_nothing_is_left(installation, backup)
    listed = json.loads(installation.run("purge", "--list", "--json").output)["documents"]
    assert {(one["by"], one["reason"], bool(one["completed_at"])) for one in listed} == {
        ("ana", "request 7 about a purged document", True)
    }
    assert len(listed) == len(DOCUMENTS)
