"""`rag-assets benchmark draft` and `accept`: from somebody's own documents to questions in force."""

import argparse
import json
import shutil
from pathlib import Path

from rag_assets.errors import BenchmarkError, SourceUnavailable
from rag_assets.evaluation.benchmark import load_draft
from rag_assets.evaluation.benchmark_draft import draft_questions
from rag_assets.ingestion.source_reports import unreadable_sources
from rag_assets.knowledge_base import KnowledgeBase


def draft(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Write a draft and print its path."""
    path, count = write_draft(knowledge_base, options.questions)
    print(f"{count} questions in {path}: look through them, then run `rag-assets benchmark accept`")
    return 0


def accept(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    """Put the draft in force."""
    path, count = accept_draft(knowledge_base.settings.benchmark_file)
    print(f"{count} questions are in force, in {path}")
    return 0


def draft_path(benchmark_file: Path) -> Path:
    return benchmark_file.with_suffix(".draft.jsonl")


def write_draft(knowledge_base: KnowledgeBase, most_questions: int) -> tuple[Path, int]:
    """Read the documents and write a draft beside the benchmark file.

    Returns:
        The draft's path, and the number of its questions.

    Raises:
        SourceUnavailable: a source cannot be read completely.
        BenchmarkError: no document has a title, a heading or a first line to ask for.
    """
    ingestion = knowledge_base.ingestion()
    documents = list(ingestion.documents())
    problems = unreadable_sources(ingestion.reports)
    if problems:
        raise SourceUnavailable("; ".join(problems.values()))
    lines = draft_questions(documents, knowledge_base.text_store.get, most_questions)
    if not lines:
        raise BenchmarkError(
            f"no document in {knowledge_base.settings.documents_dir} gives a question: write the benchmark "
            f"{knowledge_base.settings.benchmark_file} by hand"
        )
    path = draft_path(knowledge_base.settings.benchmark_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path, len(lines)


def accept_draft(benchmark_file: Path) -> tuple[Path, int]:
    """Put the draft in the place of the benchmark; what was there before is kept beside it.

    Raises:
        BenchmarkError: there is no draft, or it is malformed. The benchmark in force stays as it was.
    """
    draft = draft_path(benchmark_file)
    if not draft.exists():
        raise BenchmarkError(f"there is no draft at {draft}: run `rag-assets benchmark draft` first")
    accepted = [
        json.dumps({"query": query.query, "expected_docs": list(query.expected_docs)}, ensure_ascii=False)
        for query in load_draft(draft).queries
    ]
    staged = benchmark_file.with_suffix(".accepted.jsonl")
    staged.write_text("".join(line + "\n" for line in accepted), encoding="utf-8")
    if benchmark_file.exists():
        shutil.copyfile(benchmark_file, benchmark_file.with_suffix(".before.jsonl"))
    staged.replace(benchmark_file)
    draft.unlink()
    return benchmark_file, len(accepted)
