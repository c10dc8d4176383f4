"""Records the runs and decisions of a knowledge base, and delivers the records to tables and MLflow. It never fails its caller.

Its work: notes about runs under way, waiting records in the state folder, and one delivery at the end of each run: to the
tables in at most 30 seconds, to MLflow by a process of its own afterwards. A failed delivery is a warning, shown by `status`
and `doctor`, and the next one sends everything again. SQLAlchemy is imported for a delivery only.
"""

import json
import logging
import os
import uuid
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import write_json
from rag_assets.errors import MetadataTablesUnavailable, RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Spending
from rag_assets.text.forgotten_names import FORGOTTEN, forgetting
from rag_assets.time_limits import NothingCame, ThreadExit, within
from rag_assets.tracking.composition import NOTED, RunEnd, decision_record, run_record
from rag_assets.tracking.mlflow_observer import MlflowObserver, mlflow_lag_in_words
from rag_assets.tracking.outbox import BusyError, Lag, Outbox
from rag_assets.tracking.records import DIED, Record, now, without_document
from rag_assets.tracking.run_notes import RunNotes

if TYPE_CHECKING:
    from rag_assets.tracking.connections import Deadline
    from rag_assets.tracking.database import MetadataDatabase

DELIVERY_SECONDS = 30.0
DECISION_SECONDS = 5.0
"""After a decision of a person, who waits for the command."""
_MARGIN_SECONDS = 3.0
"""The work is to end by itself so much earlier."""
_EXAMINATION_SECONDS = 12.0
_BACKUP_SECONDS = 3600.0
_WAITING = "waiting.jsonl"
_logger = logging.getLogger(__name__)


class Observer:
    """Records about one knowledge base.

    Attributes:
        outbox: records not delivered to the tables yet.
        mlflow: the same for MLflow.

    Args:
        reports_to: the run in Dagster that shows what becomes of the sending to MLflow, see `Sending`.
    """

    def __init__(self, knowledge_base: KnowledgeBase, reports_to: str = "") -> None:
        self._knowledge_base = knowledge_base
        self._reports_to = reports_to
        settings = knowledge_base.settings
        self._folder = settings.state_dir / "tracking" / settings.collection
        self._notes = RunNotes(self._folder / "runs")
        self.outbox = Outbox(self._folder)
        self.mlflow = MlflowObserver(settings, self._folder / "mlflow")

    @cached_property
    def place(self) -> Path | str:
        """Path of the SQLite file, or the URL with its password."""
        url = self._knowledge_base.settings.metadata_url
        return (
            url.get_secret_value()
            if url is not None
            else self._knowledge_base.settings.state_dir / "metadata.sqlite"
        )

    # Runs

    def begin_step(self, run_id: str, step: str, *, has_lease: bool = False) -> None:
        with _never_failing("the begin of a step"):
            self._notes.begin_step(run_id, step, pid=os.getpid(), takes_lease=has_lease)

    def begin_refresh(self, run_id: str, step: str) -> None:
        """Note the lease of a run, and record the dead runs: no other refresh can be alive now."""
        self.begin_step(run_id, step, has_lease=True)
        with _never_failing("the dead runs"):
            self._bury_dead_runs(run_id)

    def add_numbers(self, run_id: str, step: str, metadata: Mapping[str, Any]) -> None:
        """Keep the numbers of a finished step."""
        with _never_failing("the numbers of a step"):
            numbers = {name: _number(metadata, key) for key, name in NOTED.get(step, {}).items()}
            self._notes.add_numbers(run_id, step, numbers)

    def end_step(self, run_id: str, step: str, duration_seconds: float) -> None:
        with _never_failing("the end of a step"):
            self._notes.end_step(run_id, step, duration_seconds)

    def is_open(self, run_id: str) -> bool:
        """Whether the run has begun, and its end is not recorded."""
        return self._notes.get(run_id) is not None

    def end_run(self, end: RunEnd, *, delivers: bool = True) -> None:
        """Record the end of a run, durably.

        Args:
            delivers: if not, the caller or the next refresh does it.
        """
        with _never_failing("the end of the run"):
            kept = self._keep(self._record_of(end))
            if delivers:
                self.deliver_runs(unkept=kept)

    def deliver_runs(self, *, unkept: Sequence[Record] = ()) -> None:
        """Send all waiting records to the tables, and start to send them to MLflow."""
        self.deliver(unkept=unkept)
        self.mlflow.send(self._reports_to)

    def send_again(self) -> None:
        """Start to send what waits for MLflow since an earlier run, with a warning."""
        with _never_failing("earlier runs in MLflow"):
            self.mlflow.send_again(self._reports_to)

    def send_late(self) -> None:
        """Start to send what has not arrived in MLflow, if an attempt is due."""
        with _never_failing("late runs in MLflow"):
            self.mlflow.send_late(self._reports_to)

    def _record_of(self, end: RunEnd) -> Record:
        spending: Sequence[Spending] = ()
        with suppress(RagAssetsError):  # the numbers of the steps are left
            spending = self._knowledge_base.ledger.spending().get(end.run_id, ())
        return run_record(self._knowledge_base, end, self._notes.get(end.run_id), spending)

    def _keep(self, record: Record) -> list[Record]:
        """Put a record among the waiting ones. Return it if the disk does not take it."""
        self.mlflow.put(record)
        try:
            self.outbox.put(record)
        except OSError as error:
            _logger.warning("a record for the metadata tables cannot be kept: %s", error.strerror or error)
            return [record]
        if record.kind == "run":
            self._notes.end(record.id)
            with suppress(RagAssetsError):  # the next refresh does it
                self._forget_spending(record.id)
        return []

    def _forget_spending(self, *run_ids: str) -> None:
        """Forget the spending of recorded runs, also of those that ended while the ledger was down."""
        ended = self._notes.ended()
        self._knowledge_base.ledger.forget_spending({*run_ids, *ended})
        self._notes.forget_ended(ended)

    def _bury_dead_runs(self, run_id: str) -> None:
        self._forget_spending()
        notes = {note.run_id: note for note in self._notes.all() if note.run_id != run_id}
        spending = self._knowledge_base.ledger.spending()
        # A run on another machine left only its spending in the shared ledger.
        elsewhere = spending.keys() - notes.keys() - {run_id}
        dead = [note.run_id for note in notes.values() if note.is_dead(lease_is_ours=True)]
        for one in (*dead, *sorted(elsewhere)):
            note = notes.get(one)
            step = list(note.steps)[-1] if note and note.steps else ""
            reason = f"the process ended without a word{f' during {step}' if step else ''}"
            self._keep(self._record_of(RunEnd(one, DIED, step, reason=reason)))
            if note:  # without one it may have ended elsewhere, and then the tables keep its own record
                _logger.warning(
                    "run %s died%s; its record goes to the metadata tables",
                    one,
                    f" during {step}" if step else "",
                )

    # Decisions

    def record_decision(
        self,
        event_id: str,
        kind: str,
        *,
        by: str,
        reason: str,
        subject: str,
        before: str | None = None,
        after: str | None = None,
    ) -> None:
        """Record a decision of a person, and bring the tables to production."""
        with _never_failing("the decision"):
            record = decision_record(
                event_id, kind, by=by, reason=reason, subject=subject, before=before, after=after
            )
            self.deliver(DECISION_SECONDS, unkept=self._keep(record))

    def forget_documents(
        self,
        names: Mapping[str, Collection[str]],
        content_hashes: Iterable[str],
        *,
        by: str,
        reason: str,
    ) -> None:
        """Remove purged documents from the tables and from the waiting records. They stay out of late records too.

        Args:
            names: id -> other names of the document.
            content_hashes: of contents without another document in production.
            by, reason: who decided it and why, for a row without the names of the documents.

        Raises:
            MetadataTablesUnavailable: the tables still have their names. The next refresh removes them.
        """
        contents = tuple(sorted(content_hashes))
        unused = self._knowledge_base.settings.state_dir / "metadata.sqlite"
        forgotten = [
            Record(
                "forget", f"forget-{uuid.uuid4().hex}", now(), {}, (document_id, *sorted(others), *contents)
            )
            for document_id, others in names.items()
        ]
        self._forget_in(self.outbox, forgotten)
        for record in forgotten:
            self.outbox.put(record)
            told = forgetting(record.forgotten_names)(reason)
            event_id = f"purge-{uuid.uuid4().hex}"
            self.outbox.put(decision_record(event_id, "purge", by=by, reason=told, subject=FORGOTTEN))
        try:
            with self.mlflow.sending_nothing():
                self._forget_in(self.mlflow.outbox, forgotten)
        except BusyError:
            raise MetadataTablesUnavailable("records are being sent to MLflow. Try again") from None
        if unused != self.place and unused.exists():  # of the time before RAG_METADATA_URL
            with self._database(unused) as database:
                for record in forgotten:
                    database.put(record)
                database.erase_removed_rows()
        if (lag := self.deliver()) is not None:
            raise MetadataTablesUnavailable(lag_in_words(lag))

    def _forget_in(self, outbox: Outbox, forgotten: Iterable[Record]) -> None:
        outbox.remove_unusable()
        for record in forgotten:
            outbox.replace_each(partial(without_document, names=record.forgotten_names))

    # For people

    def lag(self) -> Lag | None:
        """Return why the tables lag behind, or None if they are complete."""
        return self.outbox.lag()

    def delays(self) -> list[str]:
        """Return the delays of tables and MLflow as sentences."""
        tables, runs = self.lag(), self.mlflow.lag()
        return [*([lag_in_words(tables)] if tables else []), *([mlflow_lag_in_words(runs)] if runs else [])]

    def examine(self) -> str:
        """Return the state of the tables in words. Changes nothing.

        Raises:
            MetadataTablesUnavailable: they lag behind, or the database does not answer.
        """
        if isinstance(self.place, Path) and not self.place.exists():
            return f"{self.place} does not exist yet; the first refresh creates it"
        try:
            version, words = within(_EXAMINATION_SECONDS, self._version)
        except NothingCame:
            problem = f"no answer within {_EXAMINATION_SECONDS:.0f} s"
            raise MetadataTablesUnavailable(problem) from None
        except Exception as error:  # of the database or its driver
            from rag_assets.tracking.connections import explain

            raise MetadataTablesUnavailable(explain(error, self.place)) from None
        if (lag := self.lag()) is not None:
            raise MetadataTablesUnavailable(lag_in_words(lag))
        return (
            f"{words}, {f'version {version}' if version else 'no tables yet; the first refresh creates them'}"
        )

    def _version(self) -> tuple[str | None, str]:
        from rag_assets.tracking.connections import Deadline, in_words
        from rag_assets.tracking.database import MetadataDatabase

        # The id plays no part.
        database = MetadataDatabase(self.place, "", Deadline(_EXAMINATION_SECONDS))
        try:
            return database.version(), in_words(self.place)
        finally:
            database.close()

    # Backup

    def dump(self, folder: Path) -> None:
        """Write the rows of this knowledge base, and the waiting records, into a folder.

        Raises:
            MetadataTablesUnavailable: the database does not answer.
        """
        from rag_assets.tracking import dump

        with self._database() as database:
            dump.dump(database, folder)
            lines = [json.dumps(record.to_json()) + "\n" for _, record in self.outbox.waiting()]
        (folder / _WAITING).write_text("".join(lines), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Replace the rows of this knowledge base by those of a dump, all or none.

        Purged documents stay out. The next refresh brings documents and chunks to production.

        Raises:
            MetadataTablesUnavailable: the database does not answer, or the dump is damaged or of a newer version.
        """
        from rag_assets.tracking import dump

        with self._database() as database:
            try:
                dump.load(database, folder)
                lines = (folder / _WAITING).read_text(encoding="utf-8").splitlines()
                waiting = [Record.from_json(json.loads(line)) for line in lines]
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise MetadataTablesUnavailable(f"{folder} is damaged ({type(error).__name__})") from None
            for record in waiting:
                self.outbox.put(record)

    def readmit_document(self, hashes: Sequence[str]) -> None:
        """Let a document into the tables again, after a person has ended its purge.

        Args:
            hashes: of its names.

        Raises:
            MetadataTablesUnavailable: the database does not answer.
        """
        with self._database() as database:
            database.readmit_document(hashes)

    @contextmanager
    def _database(self, place: Path | str | None = None) -> "Generator[MetadataDatabase]":
        place = place or self.place
        from rag_assets.tracking.connections import Deadline, explain
        from rag_assets.tracking.database import MetadataDatabase

        try:
            database = MetadataDatabase(place, self._knowledge_base_id(), Deadline(_BACKUP_SECONDS))
            try:
                database.prepare()
                yield database
            finally:
                database.close()
        except Exception as error:  # of the database, its driver, the disk, or the files of the dump
            raise MetadataTablesUnavailable(f"metadata tables: {explain(error, place)}") from None

    # Delivery

    def deliver(self, seconds: float | None = None, *, unkept: Sequence[Record] = ()) -> Lag | None:
        """Send all waiting records, and bring the tables to production. Return the delay, or None.

        Args:
            seconds: for all of it, by default `DELIVERY_SECONDS`.
            unkept: records without a place on the disk. They are sent now or never.
        """
        problem = self._problem_of_delivery(seconds or DELIVERY_SECONDS, unkept)
        if not problem:
            self.outbox.forget_problem()
            return None
        lag = self.outbox.note_problem(problem)
        _logger.warning("%s", lag_in_words(lag))
        return lag

    def _problem_of_delivery(self, seconds: float, unkept: Sequence[Record]) -> str:
        def send() -> None:
            from rag_assets.tracking.connections import Deadline

            self._deliver(Deadline(seconds - min(_MARGIN_SECONDS, seconds / 2)), unkept)

        try:
            within(seconds, send)
        except NothingCame:
            from rag_assets.tracking.connections import in_words

            return (
                f"{in_words(self.place)}: no answer within {seconds:.0f} s. Check that it is up and reachable"
            )
        except BusyError:
            return "another process writes them at the moment"
        except ThreadExit as error:
            return f"unexpected {error}"
        except Exception as error:  # of the database, its driver, the disk, or the vector store
            from rag_assets.tracking.connections import explain

            return explain(error, self.place)
        return ""

    def _deliver(self, deadline: "Deadline", unkept: Sequence[Record]) -> None:
        from rag_assets.tracking.database import MetadataDatabase
        from rag_assets.tracking.served import bring_to_production
        from rag_assets.tracking.served_parts import served_by

        with self.outbox.delivering(deadline.at):
            database = MetadataDatabase(self.place, self._knowledge_base_id(), deadline)
            try:
                database.prepare()
                for record in unkept:
                    database.put(record)
                forgotten: list[Path] = []
                for path, record in self.outbox.waiting():
                    deadline.left_seconds()
                    self._put(database, path, record)
                    if record.kind == "forget":
                        forgotten.append(path)
                    else:
                        path.unlink(missing_ok=True)
                served = served_by(self._knowledge_base)
                if served is not None:
                    bring_to_production(database, served)
                if forgotten:
                    database.erase_removed_rows()
                for path in forgotten:
                    path.unlink(missing_ok=True)
            finally:
                database.close()

    def _put(self, database: "MetadataDatabase", path: Path, record: Record) -> None:
        """Send one record. An impossible one is set aside, or it would stop all others."""
        from sqlalchemy.exc import DataError, IntegrityError

        try:
            database.put(record)
        except (DataError, IntegrityError, KeyError, ValueError) as error:
            self.outbox.set_aside(path, type(error).__name__)

    def _knowledge_base_id(self) -> str:
        """Return the id from the vector store. If it does not answer, the last one: its failure is to be recorded."""
        path = self._folder / "knowledge_base.json"
        known: str | None = None
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = str(json.loads(path.read_text(encoding="utf-8"))["id"])
        try:
            found = self._knowledge_base.vector_store.knowledge_base_id()
        except RagAssetsError:
            if known is None:
                raise
            return known
        if found != known:  # also after the loss of the vector store: the metrics read the id here
            with suppress(OSError):
                make_private_folder(self._folder)
                write_json(path, {"id": found})
        return found


def lag_in_words(lag: Lag) -> str:
    """Return the delay of the tables as a sentence."""
    return lag.in_words("the metadata tables lag")


def _number(metadata: Mapping[str, Any], key: str) -> Any:
    """Return a value of the metadata of a step. A missing count is 0: the UI hides it."""
    value = metadata.get(key)
    return 0 if value is None and key.startswith("num_") else value


@contextmanager
def _never_failing(what: str) -> Generator[None]:
    try:
        yield
    except Exception as error:
        # Its message may quote a document.
        _logger.warning("the metadata tables will lack %s: unexpected %s", what, type(error).__name__)
