"""`rag-assets benchmark draft` and `accept`: questions drafted from the documents, then put into use."""

import argparse
import json
import shutil
from pathlib import Path

from rag_assets.cli.terminal import say, short_path
from rag_assets.errors import BenchmarkError, SourceUnavailable
from rag_assets.evaluation.benchmark import load_draft
from rag_assets.evaluation.benchmark_draft import draft_questions
from rag_assets.ingestion.source_reports import unreadable_sources
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.text.wording import counted


def draft(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Write a draft and print its path."""
    path, count = write_draft(knowledge_base, options.questions)
    say(
        f"wrote {counted(count, 'question')} to {short_path(path)}: review them, then run `rag-assets benchmark accept`"
    )
    return 0


def accept(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    """Replace the benchmark with the draft."""
    path, count = accept_draft(knowledge_base.settings.benchmark_file)
    say(f"the benchmark {short_path(path)} now has {counted(count, 'question')}")
    return 0


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
