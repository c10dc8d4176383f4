"""`rag-assets purge`."""

import argparse
from dataclasses import asdict

from rag_assets.cli.production import person
from rag_assets.cli.terminal import ask, complain, one_line, say, say_json, say_labeled
from rag_assets.errors import ConfigurationError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder
from rag_assets.operations.purge.purge import Copies, CopiesFound, PurgeReport, lift
from rag_assets.operations.purge.purge import purge as purge_document
from rag_assets.text.wording import counted


def purge(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Purge a document, list the purged ones, or let one in again."""
    if options.list:
        return _list(knowledge_base, options)
    if options.name is None:
        raise ConfigurationError("name the document to purge: its id, URI, path or unique filename")
    if options.lift:
        lifted = lift(knowledge_base, options.name, by=person(options), reason=options.reason or "")
        if options.json:
            say_json(asdict(lifted))
        else:
            say(one_line(f"{options.name} is let in again: the next refresh reads it, if its source has it"))
        return 0
    holder = live_holder(knowledge_base.ledger)
    if holder is not None:
        complain(f"waiting for the refresh of run {holder.owner}")
    report = _purge(knowledge_base, options)
    if options.json:
        say_json(_json(report))
    else:
        _say(knowledge_base, report)
    return 0


def _purge(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> PurgeReport:
    copies: Copies = "with" if options.with_copies else "keep" if options.keep_copies else "ask"

    def run(copies: Copies) -> PurgeReport:
        return purge_document(
            knowledge_base,
            options.name,
            copies=copies,
            accept=options.accept,
            by=person(options),
            reason=options.reason or "",
        )

    try:
        return run(copies)
    except CopiesFound as error:
        others = counted(len(error.document_ids), "other document")
        complain(str(error))
        answer = ask(f"Purge {others} with the same text too? all, one (the text stays), or Enter to stop: ")
        choices: dict[str, Copies] = {"all": "with", "one": "keep"}
        if answer.lower() not in choices:
            raise
        return run(choices[answer.lower()])


def _list(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    found = knowledge_base.purged_documents.all()
    if options.json:
        say_json({"documents": [asdict(one) for _, one in sorted(found.items())]})
        return 0
    if not found:
        say("no document was purged")
    for _, one in sorted(found.items()):
        end = (
            f", lifted on {one.lifted_at} by {one.lifted_by or 'an unknown person'}" if one.lifted_at else ""
        )
        unfinished = ". UNFINISHED: purge it again" if one.is_unfinished else ""
        say(one_line(f"{one}{end}{unfinished}"))
    return 0


def _say(knowledge_base: KnowledgeBase, report: PurgeReport) -> None:
    for document_id in report.document_ids:
        say_labeled("purged", document_id, to_copy=True)
    for role, generation in report.rebuilt.items():
        say_labeled(role, f"{generation}, without it")
    for role, damage in report.lost.items():
        say_labeled(role, f"removed, because it is damaged and cannot be rebuilt: {damage}")
    if report.verdict:
        say_labeled("gate", report.verdict)
    if report.state.hold is not None:
        say_labeled("HELD", f"{report.state.hold} (unchanged)")
    say_labeled("texts", f"{counted(report.num_texts_removed, 'text')} removed, with caches and records")
    if report.copies:
        say_labeled("THE TEXT STAYS", f"in {', '.join(report.copies)}")
    if report.questions:
        say_labeled(
            "benchmark",
            f"{counted(report.questions, 'question')} in {knowledge_base.settings.benchmark_file} still expect it, and may "
            "quote it: edit that file",
        )
    for path in report.removed_aside:
        say_labeled("removed", f"{path}, which was unreadable or unused and may have held it")
    for place in report.left:
        say_labeled("LEFT", f"{place} may hold it: remove it yourself")
    say("It stays out while its source still has it, until `rag-assets purge --lift`.")
    say(
        "Backups made before still hold it. A restore into this installation leaves it out. Elsewhere it would come back: "
        "delete them where erasure is required."
    )


def _json(report: PurgeReport) -> dict[str, object]:
    state = report.state
    return {
        "document_ids": report.document_ids,
        "production": state.production,
        "previous": state.previous,
        "hold": None if state.hold is None else asdict(state.hold),
        "rebuilt": report.rebuilt,
        "lost": report.lost,
        "copies": report.copies,
        "verdict": report.verdict,
        "num_questions": report.questions,
        "num_texts_removed": report.num_texts_removed,
        "removed_aside": report.removed_aside,
        "left": report.left,
    }
