"""`rag-assets benchmark`: questions drafted from the documents and put into use, and decisions about the gate."""

import argparse
import json
import shutil
from pathlib import Path

from rag_assets.artifacts.rows import document_from_row
from rag_assets.cli.production import person
from rag_assets.cli.terminal import say, short_path
from rag_assets.errors import BenchmarkError, SourceUnavailable
from rag_assets.evaluation.benchmark import DocumentNames, load_benchmark, load_draft
from rag_assets.evaluation.benchmark_draft import draft_questions
from rag_assets.ingestion.source_reports import unreadable_sources
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState
from rag_assets.text.wording import counted


def draft(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Write a draft and print its path."""
    path, count = write_draft(knowledge_base, options.questions)
    say(
        f"wrote {counted(count, 'question')} to {short_path(path)}: review them, then run `rag-assets benchmark accept`"
    )
    return 0


def accept(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Replace the benchmark with the draft, or accept the deletion of expected documents."""
    if options.deleted:
        return _accept_deleted(knowledge_base, options)
    path, count = accept_draft(knowledge_base.settings.benchmark_file)
    say(f"the benchmark {short_path(path)} now has {counted(count, 'question')}")
    return 0


def _accept_deleted(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Set the questions apart whose expected documents are in none of the sources' documents of the last refresh."""
    from rag_assets.refresh.accepted_deletions import accept as accept_names
    from rag_assets.refresh.accepted_deletions import missing_names

    benchmark = load_benchmark(knowledge_base.settings.benchmark_file)
    documents = documents_of_last_refresh(knowledge_base)
    missing = missing_names(benchmark, DocumentNames(documents))
    accept_names(knowledge_base.vector_store, missing, person(options))
    if not missing:
        say("every expected document exists: nothing to accept")
        return 0
    apart = sum(not set(missing).isdisjoint(query.expected_docs) for query in benchmark.queries)
    say(
        f"{counted(apart, 'question')} set apart from the next refresh on, until the document is back: {', '.join(missing)}"
    )
    return 0


def pin(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Make production the anchor of the gate."""
    from rag_assets.refresh.kept_measurements import pin as pin_production

    pinned = pin_production(knowledge_base.vector_store, person(options))
    say(
        f"{pinned.generation} is the anchor, Recall@5 {pinned.scores.recall_at_5:.3f}: each candidate is compared with it until "
        "`rag-assets benchmark unpin`"
    )
    return 0


def unpin(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    """Return to the best promoted generation as the anchor."""
    from rag_assets.refresh.kept_measurements import unpin as end_pin

    pinned = end_pin(knowledge_base.vector_store)
    say("nothing was pinned" if pinned is None else f"{pinned.generation} is no longer pinned")
    return 0


def documents_of_last_refresh(knowledge_base: KnowledgeBase) -> list[DocumentState]:
    """Return the documents of the last candidate, or those in production."""
    staged = knowledge_base.artifacts.latest("staging_collection")
    if staged is not None:
        return [document_from_row(row) for row in staged.rows()]
    return list(knowledge_base.served_documents().values())


def draft_path(benchmark_file: Path) -> Path:
    return benchmark_file.with_suffix(".draft.jsonl")


def write_draft(knowledge_base: KnowledgeBase, most_questions: int) -> tuple[Path, int]:
    """Read the documents and write a draft beside the benchmark file.

    Returns:
        The path of the draft, and its number of questions.

    Raises:
        SourceUnavailable: a source cannot be read completely.
        BenchmarkError: no document has a title, heading or first line to ask about.
    """
    ingestion = knowledge_base.ingestion()
    documents = list(ingestion.documents())
    problems = unreadable_sources(ingestion.reports)
    if problems:
        raise SourceUnavailable("; ".join(problems.values()))
    lines = draft_questions(documents, knowledge_base.text_store.get, most_questions)
    if not lines:
        raise BenchmarkError(
            f"no document in {knowledge_base.settings.documents_dir} has a title, heading or first line to ask about: "
            f"write the benchmark {knowledge_base.settings.benchmark_file} by hand"
        )
    path = draft_path(knowledge_base.settings.benchmark_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path, len(lines)


def accept_draft(benchmark_file: Path) -> tuple[Path, int]:
    """Replace the benchmark with the draft. The previous benchmark stays beside it.

    Raises:
        BenchmarkError: the draft is missing or malformed. The benchmark is unchanged.
    """
    drafted = draft_path(benchmark_file)
    if not drafted.exists():
        raise BenchmarkError(f"there is no draft at {drafted}: run `rag-assets benchmark draft` first")
    accepted = [
        json.dumps({"query": query.query, "expected_docs": list(query.expected_docs)}, ensure_ascii=False)
        for query in load_draft(drafted).queries
    ]
    staged = benchmark_file.with_suffix(".accepted.jsonl")
    staged.write_text("".join(line + "\n" for line in accepted), encoding="utf-8")
    if benchmark_file.exists():
        shutil.copyfile(benchmark_file, benchmark_file.with_suffix(".before.jsonl"))
    staged.replace(benchmark_file)
    drafted.unlink()
    return benchmark_file, len(accepted)
