"""`rag-assets backup` and `rag-assets restore`."""

import argparse
from dataclasses import asdict

from rag_assets.cli.production import person
from rag_assets.cli.terminal import complain, one_line, say, say_json, say_labeled
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder
from rag_assets.operations.backup.create import BackupReport, back_up
from rag_assets.operations.backup.places import backup_place
from rag_assets.operations.backup.restore import RestoreReport
from rag_assets.operations.backup.restore import restore as restore_backup
from rag_assets.progress import duration
from rag_assets.text.wording import counted

NOT_INCLUDED = {
    "settings": "the `.env` and sources files, with keys and passwords: keep them where your secrets are",
    "documents": "the documents of the sources: they are read again where they are",
    "Dagster": 'its history in DAGSTER_HOME: tar -czf dagster.tgz -C "$DAGSTER_HOME" . (on PostgreSQL: pg_dump -Fc '
    "-f dagster.dump DATABASE_URL)",
    "MLflow": "mlflow experiments csv -x EXPERIMENT_ID -o runs.csv (or pg_dump of its database)",
    "Prometheus": "curl -X POST http://localhost:9090/api/v1/admin/tsdb/snapshot (needs --web.enable-admin-api)",
}
"""What a backup does not hold, with the command for it."""


def backup(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Write a backup."""
    with backup_place(options.target) as place:
        report = back_up(knowledge_base, place)
        if options.json:
            say_json(_backup_json(report, place.name))
            return 0
        _say_backup(report, place.name)
    return 0


def restore(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Restore a backup."""
    with backup_place(options.target) as place:
        if knowledge_base.vector_store.find_knowledge_base_id() is not None:
            holder = live_holder(knowledge_base.ledger)
            if holder is not None:
                complain(f"waiting for the refresh of run {holder.owner}")
        report = restore_backup(
            knowledge_base,
            place,
            into_living=options.into_living,
            identity="new" if options.new_id else "same" if options.same_id else "ask",
            by=person(options),
            reason=options.reason or "",
        )
        if options.json:
            say_json(_restore_json(report, place.name))
        else:
            _say_restore(report, place.name)
    return 0


def _say_backup(report: BackupReport, place: str) -> None:
    index = report.index
    say_labeled("backup", place, to_copy=True)
    say_labeled(
        "",
        f"of {index.made_at}, {_megabytes(index.size_bytes)} in {counted(len(index.files), 'file')}, checksummed",
    )
    for one in index.generations:
        documents, chunks = (
            counted(one.manifest.documents_count, "document"),
            counted(one.manifest.points_count, "chunk"),
        )
        say_labeled(one.role, f"{one.manifest.generation}: {documents}, {chunks}")
    for name, problem in index.left_out.items():
        say_labeled("LEFT OUT", f"{name}: {problem}")
    if index.state.hold is not None:
        say_labeled("HELD", str(index.state.hold))
    texts = counted(report.num_texts, "text")
    lost = f" ({report.num_texts_lost:,} lost: parsed again after a restore)" if report.num_texts_lost else ""
    say_labeled("texts", texts + lost)
    say_labeled("ledger", counted(report.num_ledger_entries, "entry", "entries"))
    if report.tables_problem:
        say_labeled("LEFT OUT", report.tables_problem)
    say_labeled("benchmark", "included" if report.has_benchmark else "there is none")
    if report.changed_to:
        say_labeled("", f"{report.changed_to} went live meanwhile, and is not in this backup")
    say_labeled("took", duration(report.seconds))
    say("Not in it:")
    for what, how in NOT_INCLUDED.items():
        say_labeled(f"  {what}"[:14], how) if len(what) < 13 else say(f"  {what}: {how}")
    say("It holds document text: keep it as private as the documents.")


def _say_restore(report: RestoreReport, place: str) -> None:
    index, state = report.index, report.state
    say_labeled("restored", place, to_copy=True)
    say_labeled("", f"of {index.made_at}, {_megabytes(index.size_bytes)}, every file checked")
    if report.was_there:
        say_labeled("", "it was restored before: nothing was changed")
    manifest = next(one.manifest for one in index.generations if one.role == "production")
    documents = counted(manifest.documents_count - report.num_purged, "document")
    say_labeled("production", f"{state.production}: {documents}")
    say_labeled("previous", state.previous or "none")
    if state.hold is not None:
        say_labeled("HELD", str(state.hold))
        say_labeled("", "new candidates wait, until `rag-assets resume`")
    if report.num_purged:
        say_labeled(
            "purged", f"{counted(report.num_purged, 'document')} of the backup, purged since, left out"
        )
    if report.benchmark is not None:
        say_labeled("benchmark", str(report.benchmark))
    if report.benchmark_beside is not None:
        say_labeled("benchmark", f"yours stays; that of the backup is {report.benchmark_beside}")
    for note in report.notes:
        say_labeled("NOTE", note)
    say_labeled("took", duration(report.seconds))
    say(one_line("Not in it: " + ", ".join(NOT_INCLUDED) + ". docs/backup.md has the command for each."))


def _backup_json(report: BackupReport, place: str) -> dict[str, object]:
    index = report.index
    return {
        "place": place,
        "made_at": index.made_at,
        "production": index.state.production,
        "previous": index.state.previous,
        "hold": None if index.state.hold is None else asdict(index.state.hold),
        "generations": {one.role: one.manifest.generation for one in index.generations},
        "left_out": dict(index.left_out),
        "num_files": len(index.files),
        "num_bytes": index.size_bytes,
        "num_texts": report.num_texts,
        "num_texts_lost": report.num_texts_lost,
        "num_ledger_entries": report.num_ledger_entries,
        "has_benchmark": report.has_benchmark,
        "tables_problem": report.tables_problem,
        "changed_to": report.changed_to or None,
        "seconds": round(report.seconds, 1),
        "not_included": NOT_INCLUDED,
    }


def _restore_json(report: RestoreReport, place: str) -> dict[str, object]:
    state = report.state
    return {
        "place": place,
        "made_at": report.index.made_at,
        "was_there": report.was_there,
        "production": state.production,
        "previous": state.previous,
        "hold": None if state.hold is None else asdict(state.hold),
        "num_purged": report.num_purged,
        "benchmark": None if report.benchmark is None else str(report.benchmark),
        "benchmark_beside": None if report.benchmark_beside is None else str(report.benchmark_beside),
        "notes": report.notes,
        "seconds": round(report.seconds, 1),
        "not_included": NOT_INCLUDED,
    }


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:,.1f} MB"
