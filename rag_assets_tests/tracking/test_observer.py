"""The observer never fails its caller: faults of the database are a warning, and the next delivery catches up."""

import logging
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from rag_assets.errors import LedgerUnavailable, MetadataTablesUnavailable, VectorStoreUnavailable
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Spending
from rag_assets.settings import load_settings
from rag_assets.tracking.composition import RunEnd
from rag_assets.tracking.observer import Observer
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port
from rag_assets_tests.tracking.conftest import ask, everything_in
from rag_assets_tests.tracking.postgres_proxy import LosingProxy

SECONDS = 4.0
"""For deliveries of these tests. A fault uses it up at most."""


@contextmanager
def observing(home: Path, url: str | None = None) -> Iterator[Observer]:
    """Open the observer of a knowledge base without documents."""
    settings = load_settings(
        home=home,
        state_dir=home / "state",
        qdrant_url=None,
        redis_url=None,
        metadata_url=SecretStr(url) if url else None,
    )
    knowledge_base = KnowledgeBase(settings)
    try:
        yield Observer(knowledge_base)
    finally:
        knowledge_base.close()


def knowledge_base_of(observer: Observer) -> KnowledgeBase:
    return observer._knowledge_base


def end(observer: Observer, run_id: str, outcome: str = "failed", reason: str = "") -> None:
    observer.begin_step(run_id, "raw_documents")
    observer.end_run(RunEnd(run_id, outcome, "raw_documents", reason=reason), delivers=False)


def runs_in(place: Path | str) -> list[tuple[str, str]]:
    rows = ask(place, "SELECT run_id, outcome FROM rag_refreshes ORDER BY ended_at")
    return [(row["run_id"], row["outcome"]) for row in rows]


def test_the_kept_id_follows_the_vector_store(tmp_path: Path) -> None:
    with observing(tmp_path) as observer:
        end(observer, "r1", "live")
        observer.deliver()
        path = observer.outbox.folder / "knowledge_base.json"
        kept = path.read_text()
        path.write_text('{"id": "of an earlier store"}')
        end(observer, "r2", "live")
        observer.deliver()
        assert path.read_text() == kept


# Faults of PostgreSQL


def refused(_url: str) -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"postgresql://someone:{quote(PASSWORD)}@127.0.0.1:{port}/postgres"


def read_only(url: str) -> str:
    return f"{url}%20-cdefault_transaction_read_only%3Don"


def not_permitted(url: str) -> str:
    import psycopg

    schema = url.rpartition("%3D")[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {schema} LOGIN PASSWORD '{PASSWORD}'".encode())
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {schema}".encode())
    return (
        url.replace("postgres:", f"{schema}:", 1)
        .replace(f"{schema}://", "postgresql://")
        .replace("postgresql://postgres:", f"postgresql://{schema}:")
    )


def wrong_password(url: str) -> str:
    return url.replace(quote(PASSWORD), "not-the-password%40all")


def no_such_database(url: str) -> str:
    return url.replace("/postgres?", "/absent?")


FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "read-only": (read_only, "the server is read-only"),
    "not permitted": (not_permitted, "Grant CREATE on the schema"),
    "wrong password": (wrong_password, "password authentication failed|InvalidPassword"),
    "no database": (no_such_database, "does not exist|InvalidCatalogName"),
}


@pytest.mark.parametrize(
    ("fault", "moment"),
    [
        (fault, moment)
        for fault in FAULTS
        for moment in ("at the start", "in the middle")
        if (fault, moment) != ("not permitted", "in the middle")  # about creating the tables
    ],
)
def test_a_fault_is_a_warning_and_the_next_delivery_catches_up(
    fault: str, moment: str, tmp_path: Path, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, message = FAULTS[fault]
    delivered = ["r0"] if moment == "in the middle" else []
    if delivered:
        with observing(tmp_path, postgres_url) as observer:
            end(observer, "r0")
            assert observer.deliver() is None
    failing = make(postgres_url)
    with observing(tmp_path, failing) as observer, caplog.at_level(logging.WARNING):
        for run_id in ("r1", "r2"):
            end(observer, run_id, "blocked", reason="Recall@5 0.1 is below the threshold")
            lag = observer.deliver(SECONDS)
            assert lag is not None
            assert re.search(message, lag.problem), lag.problem
        assert (lag.num_waiting, lag.num_dropped) == (2, 0)
        assert caplog.text.count("the metadata tables lag since") == 2
        with pytest.raises(MetadataTablesUnavailable):
            observer.examine()
    with observing(tmp_path, postgres_url) as observer:
        assert observer.lag() == lag
        end(observer, "r3", "unchanged")
        assert observer.deliver() is None
        assert observer.lag() is None
        assert re.search(r"PostgreSQL at 127\.0\.0\.1:\d+, database postgres, version 2", observer.examine())
    expected = [(run_id, "failed") for run_id in delivered]
    expected += [("r1", "blocked"), ("r2", "blocked"), ("r3", "unchanged")]
    assert runs_in(postgres_url) == expected
    assert PASSWORD not in caplog.text
    assert "not-the-password" not in caplog.text + lag.problem
    kept = [path.read_text() for path in (tmp_path / "state").rglob("*.json")]
    assert not any(PASSWORD in text for text in kept)


@pytest.mark.parametrize("number", range(1, 6))
def test_an_answer_lost_after_the_commit_counts_once(number: int, tmp_path: Path, postgres_url: str) -> None:
    proxy = LosingProxy(server_port())
    url = postgres_url.replace(f":{server_port()}/", f":{proxy.port}/")
    with observing(tmp_path, url) as observer:
        ledger = knowledge_base_of(observer).ledger
        for run_id in ("r1", "r2"):
            ledger.add_spending(run_id, Spending("documents", "small", 100, 0.5))
            end(observer, run_id, "live" if run_id == "r2" else "blocked")
        proxy.losing = number
        lost = observer.deliver(SECONDS)
        assert (lost is None) == (proxy.losing > 0), "the connection is cut at each commit of a delivery"
        proxy.losing = 0
        assert observer.deliver(SECONDS) is None
    proxy.close()
    assert runs_in(postgres_url) == [("r1", "blocked"), ("r2", "live")]
    assert ask(postgres_url, "SELECT SUM(num_tokens) AS tokens, SUM(cost_usd) AS usd FROM rag_costs") == [
        {"tokens": 200, "usd": 1.0}
    ]
    [incident] = ask(postgres_url, "SELECT run_id, resolved_at FROM rag_incidents")
    assert incident["run_id"] == "r1"
    assert incident["resolved_at"] is not None


# Faults of SQLite


def _folder(path: Path) -> None:
    path.mkdir()


def _no_database(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def _locked(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    _LOCKS.append(connection)


_LOCKS: list[sqlite3.Connection] = []


@pytest.mark.parametrize("damage", [_folder, _no_database, _locked])
def test_a_file_that_cannot_be_used_is_a_warning(damage: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "state" / "metadata.sqlite"
    with observing(tmp_path) as observer:
        assert "does not exist yet" in observer.examine()
        path.parent.mkdir(exist_ok=True)
        damage(path)
        end(observer, "r1")
        lag = observer.deliver(2.0)
        assert lag is not None
        assert str(path) in lag.problem or "no answer" in lag.problem
        while _LOCKS:
            _LOCKS.pop().close()
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
        assert observer.deliver() is None
        assert observer.examine() == f"{path}, version 2"
    assert runs_in(path) == [("r1", "failed")]
    assert path.stat().st_mode & 0o077 == 0


def test_a_url_of_another_form_is_a_warning_without_the_url(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with observing(tmp_path, "mysql://someone:not-a-secret-at-all@host/db") as observer:
        end(observer, "r1")
        lag = observer.deliver()
        assert lag is not None
        assert lag.problem.startswith("RAG_METADATA_URL: the expected form is postgresql://")
    assert "not-a-secret-at-all" not in caplog.text


def test_a_full_disk_delivers_at_once_or_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with observing(tmp_path) as observer:

        def full(_record: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(observer.outbox, "put", full)
        observer.begin_step("r1", "chunks")
        observer.end_run(RunEnd("r1", "failed", "chunks"))
    assert runs_in(tmp_path / "state" / "metadata.sqlite") == [("r1", "failed")]


def test_an_unexpected_error_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with observing(tmp_path) as observer:
        monkeypatch.setattr(
            Observer, "_record_of", lambda *_: (_ for _ in ()).throw(RuntimeError("a secret text"))
        )
        observer.end_run(RunEnd("r1", "failed"))
    assert "unexpected RuntimeError" in caplog.text
    assert "a secret text" not in caplog.text


def test_a_record_that_the_database_refuses_stops_no_other(tmp_path: Path) -> None:
    with observing(tmp_path) as observer:
        end(observer, "r1")
        [(path, record)] = observer.outbox.waiting()
        path.unlink()
        broken = record.rows | {"rag_refreshes": record.rows["rag_refreshes"] * 2}
        observer.outbox.put(type(record)("run", "r1", record.at, broken))
        end(observer, "r2")
        observer.deliver()
        assert observer.outbox.num_waiting == 0
    assert runs_in(tmp_path / "state" / "metadata.sqlite") == [("r2", "failed")]


# Runs


def test_a_failure_of_the_vector_store_is_recorded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with observing(tmp_path) as observer:
        end(observer, "r1", "live")
        observer.deliver()
    with observing(tmp_path) as observer:
        store = knowledge_base_of(observer).vector_store

        def down(*_: Any) -> Any:
            raise VectorStoreUnavailable("the server does not answer")

        for name in ("knowledge_base_id", "production_state"):
            monkeypatch.setattr(store, name, down)
        end(observer, "r2", "failed")
        lag = observer.deliver()
        assert lag is not None
        assert "the server does not answer" in lag.problem
    assert runs_in(tmp_path / "state" / "metadata.sqlite") == [("r1", "live"), ("r2", "failed")]


def test_a_run_that_died_is_recorded_by_the_next_with_its_spending(tmp_path: Path) -> None:
    with observing(tmp_path) as observer:
        observer.begin_refresh("dead", "raw_documents")
        observer.add_numbers("dead", "raw_documents", {"num_documents": 9})
        observer.begin_step("dead", "embeddings")
        knowledge_base_of(observer).ledger.add_spending("dead", Spending("documents", "small", 700, 0.07))
    with observing(tmp_path) as observer:
        observer.begin_refresh("next", "raw_documents")
        assert not observer.is_open("dead")
        assert observer.is_open("next")
        observer.end_run(RunEnd("next", "live", "production_collection"))
        assert knowledge_base_of(observer).ledger.spending() == {}
    place = tmp_path / "state" / "metadata.sqlite"
    assert sorted(runs_in(place)) == [("dead", "died"), ("next", "live")]
    assert ask(place, "SELECT run_id, num_tokens, cost_usd FROM rag_costs") == [
        {"run_id": "dead", "num_tokens": 700, "cost_usd": 0.07}
    ]
    [run] = ask(place, "SELECT step, reason, num_listed FROM rag_refreshes WHERE run_id='dead'")
    assert (run["step"], run["num_listed"]) == ("embeddings", 9)
    [incident] = ask(place, "SELECT kind, resolved_at FROM rag_incidents")
    assert incident["kind"] == "died"
    assert incident["resolved_at"] is not None


def test_a_run_that_died_on_another_machine_left_its_spending_in_the_shared_ledger(tmp_path: Path) -> None:
    with observing(tmp_path) as observer:
        knowledge_base_of(observer).ledger.add_spending("dead", Spending("media", "whisper-1", 0, 0.5))
        observer.begin_refresh("next", "raw_documents")
        observer.end_run(RunEnd("next", "live", "production_collection"))
    place = tmp_path / "state" / "metadata.sqlite"
    assert ask(place, "SELECT run_id, cost_usd FROM rag_costs") == [{"run_id": "dead", "cost_usd": 0.5}]


def test_a_run_that_ended_while_the_ledger_was_down_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with observing(tmp_path) as observer:
        ledger = knowledge_base_of(observer).ledger
        observer.begin_refresh("r1", "raw_documents")
        ledger.add_spending("r1", Spending("documents", "small", 700, 0.07))

        def down(*_: Any) -> Any:
            raise LedgerUnavailable("gone")

        with monkeypatch.context() as patched:
            for name in ("spending", "forget_spending"):
                patched.setattr(ledger, name, down)
            observer.end_run(RunEnd("r1", "live", "production_collection"))
        assert not observer.is_open("r1")
        assert "r1" in ledger.spending()
    with observing(tmp_path) as observer, caplog.at_level(logging.WARNING):
        observer.begin_refresh("r2", "raw_documents")
        assert knowledge_base_of(observer).ledger.spending() == {}
        observer.end_run(RunEnd("r2", "live", "production_collection"))
    assert "died" not in caplog.text
    assert runs_in(tmp_path / "state" / "metadata.sqlite") == [("r1", "live"), ("r2", "live")]
    assert not list(tmp_path.rglob("*.ended"))


def test_a_run_beside_the_refresh_is_alive(tmp_path: Path) -> None:
    with observing(tmp_path) as observer:
        observer.begin_step("measuring", "eval_report")
        observer.begin_refresh("r1", "raw_documents")
        assert observer.is_open("measuring")


def test_a_lost_ledger_leaves_the_numbers_of_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with observing(tmp_path) as observer:
        observer.begin_step("r1", "embeddings")
        observer.add_numbers(
            "r1", "embeddings", {"num_tokens": 1000, "cost_usd": 0.25, "embedding_model": "small"}
        )

        def lost(*_: Any) -> Any:
            raise LedgerUnavailable("gone")

        monkeypatch.setattr(knowledge_base_of(observer).ledger, "spending", lost)
        observer.end_run(RunEnd("r1", "live", "production_collection"))
    assert ask(
        tmp_path / "state" / "metadata.sqlite",
        "SELECT purpose, model, num_tokens, cost_usd FROM rag_costs",
    ) == [{"purpose": "documents", "model": "small", "num_tokens": 1000, "cost_usd": 0.25}]


# Purge and backup


def test_a_purge_waits_for_a_database_that_is_down(tmp_path: Path, postgres_url: str) -> None:
    with observing(tmp_path, refused(postgres_url)) as observer:
        end(observer, "r1", reason="the deletion of filesystem:hr/pay.md")
        with pytest.raises(MetadataTablesUnavailable, match="3 records wait"):
            observer.forget_documents(
                {"filesystem:hr/pay.md": []}, [], by="Ada", reason="hr/pay.md was public"
            )
    with observing(tmp_path, postgres_url) as observer:
        assert observer.deliver() is None
    assert "pay.md" not in everything_in(postgres_url)
    assert len(ask(postgres_url, "SELECT * FROM rag_forgotten_documents")) == 2
    assert ask(postgres_url, "SELECT kind, decided_by, reason FROM rag_promotions") == [
        {"kind": "purge", "decided_by": "Ada", "reason": "a purged document was public"}
    ]


def test_no_byte_of_the_file_names_a_purged_document(tmp_path: Path) -> None:
    with observing(tmp_path) as observer:
        end(observer, "r1", reason="the deletion of filesystem:hr/pay.md")
        observer.deliver()
        observer.forget_documents({"filesystem:hr/pay.md": []}, [], by="", reason="")
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or b"pay.md" not in path.read_bytes(), path


def test_a_backup_holds_the_waiting_records(tmp_path: Path, postgres_url: str) -> None:
    with observing(tmp_path / "a") as observer:
        end(observer, "r1", "live")
        observer.deliver()
        end(observer, "r2", "failed")
        observer.dump(tmp_path / "dump")
    with observing(tmp_path / "b", postgres_url) as observer:
        observer.load(tmp_path / "dump")
        assert observer.outbox.num_waiting == 1
        assert observer.deliver() is None
    assert runs_in(postgres_url) == [("r1", "live"), ("r2", "failed")]


def test_a_backup_of_a_database_that_is_down_is_an_error(tmp_path: Path, postgres_url: str) -> None:
    with observing(tmp_path, refused(postgres_url)) as observer:
        with pytest.raises(MetadataTablesUnavailable, match="Connection refused"):
            observer.dump(tmp_path / "dump")
        (tmp_path / "dump").mkdir(exist_ok=True)
        with pytest.raises(MetadataTablesUnavailable):
            observer.load(tmp_path / "dump")


def test_the_tables_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with observing(tmp_path) as observer:
            end(observer, "r1")
            observer.deliver()
    finally:
        os.umask(before)
    for path in (tmp_path / "state").glob("metadata.sqlite*"):
        assert path.stat().st_mode & 0o077 == 0
