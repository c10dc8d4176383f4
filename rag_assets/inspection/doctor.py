"""A check of each part of the configuration: is it set, and does it answer? `--deep` reads every point of production."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

from rag_assets.alerts.teller import Teller
from rag_assets.effective_settings import ledger_server_of
from rag_assets.errors import BenchmarkError, ConfigurationError, RagAssetsError, SourceUnavailable
from rag_assets.evaluation.benchmark import fitting_problem, load_benchmark
from rag_assets.fingerprint import fingerprint_difference, short_hash
from rag_assets.generations.verification import check_every_point
from rag_assets.ingestion.source_reports import unreadable_sources, without_name
from rag_assets.inspection.lines import ignored_lines, labeled, unconfigured_lines
from rag_assets.inspection.source_listings import ListedSource, list_with_outages
from rag_assets.inspection.unconfigured_sources import ignored_sources, unconfigured_sources
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import DescribesServer as DescribesLedger
from rag_assets.ledgers.registry import LEDGER_FILE
from rag_assets.records import DocumentState
from rag_assets.text.wording import counted
from rag_assets.tracking.observer import Observer
from rag_assets.vector_stores.base import DescribesServer

_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one part.

    Attributes:
        result: `-` if there was nothing to try.
    """

    part: str
    result: Literal["ok", "FAIL", "-"]
    detail: str

    @property
    def failed(self) -> bool:
        return self.result == "FAIL"


def examine(
    knowledge_base: KnowledgeBase, *, deep: bool = False, sends_test_alert: bool = False
) -> Iterator[Finding]:
    """Examine one part after the other. A failure of one does not stop the examination.

    Args:
        sends_test_alert: whether a message goes to Slack.
    """
    listings = cache(lambda: list_with_outages(knowledge_base, knowledge_base.served_documents()))
    parts: dict[str, Callable[[KnowledgeBase], str]] = {
        "variables": _variables,
        "vector store": _vector_store,
        "ledger": _ledger,
        "sources": lambda knowledge_base: _sources(knowledge_base, listings()),
        "embedding model": _embedder,
        "benchmark": lambda knowledge_base: _benchmark(knowledge_base, listings),
        "metadata tables": lambda knowledge_base: Observer(knowledge_base).examine(),
    }
    if knowledge_base.settings.mlflow_tracking_uri is not None:
        parts["MLflow"] = lambda knowledge_base: Observer(knowledge_base).mlflow.examine()
    for part, look in parts.items():
        try:
            yield Finding(part, "ok", look(knowledge_base))
        except RagAssetsError as error:
            yield Finding(part, "FAIL", str(error))
    yield from _purges(knowledge_base)
    yield _test_alert(knowledge_base) if sends_test_alert else _slack(knowledge_base)
    if deep:
        yield from _every_point(knowledge_base)


def _variables(knowledge_base: KnowledgeBase) -> str:
    unread = knowledge_base.unread_variables()
    if unread:
        raise ConfigurationError("; ".join(unread))
    return "all RAG_ variables are known"


def _vector_store(knowledge_base: KnowledgeBase) -> str:
    where = knowledge_base.place
    if isinstance(knowledge_base.vector_store, DescribesServer):
        where = "; ".join([where, *knowledge_base.vector_store.describe_server()])
    manifest = knowledge_base.production_manifest()
    if manifest is None:
        return f"{where}; nothing in production yet"
    reader = knowledge_base.vector_store.read(manifest.generation)
    try:
        return f"{where}; production {manifest.generation} holds {counted(reader.count(), 'point')}"
    finally:
        reader.close()


def _ledger(knowledge_base: KnowledgeBase) -> str:
    production = knowledge_base.vector_store.production_state().production
    documents = knowledge_base.documents_of(production)
    unconfigured = unconfigured_sources(knowledge_base.settings, documents)
    server = ledger_server_of(knowledge_base.settings)
    where = server or str(knowledge_base.settings.state_dir / LEDGER_FILE)
    known = f"{where}, {counted(len(documents), 'document')} in production"
    described: list[str] = []
    if isinstance(knowledge_base.ledger, DescribesLedger):
        described = knowledge_base.ledger.describe_server()
    return "; ".join([known, *described, *_not_writable(knowledge_base), *unconfigured_lines(unconfigured)])


def _not_writable(knowledge_base: KnowledgeBase) -> list[str]:
    # Right for a process that only searches, so no failure.
    folder = knowledge_base.settings.state_dir
    if not folder.exists() or os.access(folder, os.W_OK):
        return []
    return ["READ-ONLY here: searches work, a refresh or a decision such as `rag-assets rollback` fails"]


def _sources(knowledge_base: KnowledgeBase, listed: Sequence[ListedSource]) -> str:
    reads = knowledge_base.media_models().reads
    lists = ", ".join(
        f"{one.source.name} lists {counted(sum(reads(it.filename) for it in one.entries), 'document')}"
        for one in listed
        if one.report.complete
    )
    found = [*filter(None, [lists]), *ignored_lines(ignored_sources(knowledge_base.settings))]
    problems = unreadable_sources(one.report for one in listed)
    if problems:
        failed = (f"source {name}: {without_name(name, problem)}" for name, problem in problems.items())
        raise SourceUnavailable("; ".join([*failed, *found]))
    return "; ".join(found)


def _embedder(knowledge_base: KnowledgeBase) -> str:
    embedder = knowledge_base.embedder
    vector = embedder.embed_query("Does the model answer?")
    detail = f"{embedder.model.provider} {embedder.model.model}, {len(vector)} dimensions"
    fingerprint = knowledge_base.fingerprint()
    manifest = knowledge_base.production_manifest()
    if manifest is not None:
        differing = fingerprint_difference(manifest.fingerprint, fingerprint)
        if differing:
            detail += (
                f"; the next refresh rebuilds in full because of changed settings: {', '.join(differing)}"
            )
    return detail


def _benchmark(knowledge_base: KnowledgeBase, listings: Callable[[], Sequence[ListedSource]]) -> str:
    path = knowledge_base.settings.benchmark_file
    benchmark = load_benchmark(path)
    documents = knowledge_base.documents_of(knowledge_base.vector_store.production_state().production)
    compared_with = "production"
    if not documents:
        compared_with = "the listed documents"
        with suppress(RagAssetsError):  # reported by the part before
            # Their texts are unknown. Counted as one text, no name is ambiguous.
            documents = [
                DocumentState(entry.location(), "unknown") for one in listings() for entry in one.entries
            ]
    if documents and (problem := fitting_problem(path, documents)):
        raise BenchmarkError(f"compared with {compared_with}, {problem}")
    return f"{path}, {counted(len(benchmark.queries), 'question')}"


def _purges(knowledge_base: KnowledgeBase) -> Iterator[Finding]:
    """Report on the purged documents, if there are any."""
    try:
        purged = list(knowledge_base.purged_documents.kept_out())
    except RagAssetsError as error:
        yield Finding("purged documents", "FAIL", str(error))
        return
    for one in purged:
        if one.is_unfinished:
            yield Finding(
                "purged documents",
                "FAIL",
                f"the purge of {one.shown} is unfinished, and traces may be left: run `rag-assets purge {one.shown}` again",
            )
    if purged and not any(one.is_unfinished for one in purged):
        yield Finding("purged documents", "ok", f"{counted(len(purged), 'document')} kept out")


def _slack(knowledge_base: KnowledgeBase) -> Finding:
    # Never tried unasked: a check must not post to a channel.
    teller = Teller(knowledge_base)
    if not teller.is_on:
        return Finding("slack", "-", "no webhook is set, so failures are not posted")
    book = teller.book_file.read()
    if book.outbox:
        waiting = counted(len(book.outbox), "message")
        return Finding(
            "slack", "FAIL", f"{waiting} not delivered yet; `rag-assets doctor --send-test-alert` says why"
        )
    return Finding("slack", "-", "a webhook is set; `rag-assets doctor --send-test-alert` tries it")


def _test_alert(knowledge_base: KnowledgeBase) -> Finding:
    delivery = Teller(knowledge_base).send_test()
    if delivery.problem:
        return Finding("slack", "FAIL", f"the test message was not delivered: {delivery.problem}")
    return Finding("slack", "ok", "the test message was delivered")


def _every_point(knowledge_base: KnowledgeBase) -> Iterator[Finding]:
    try:
        manifest = knowledge_base.production_manifest()
        if manifest is None:
            return
        check = check_every_point(knowledge_base.vector_store, manifest, short_hash(manifest.fingerprint))
    except RagAssetsError as error:
        yield Finding("every point", "FAIL", str(error))
        return
    if not check.problems:
        yield Finding("every point", "ok", f"{counted(check.num_points, 'point')} unchanged since sealing")
    for problem in check.problems[:_MOST_PROBLEMS]:
        yield Finding("every point", "FAIL", problem)
    if len(check.problems) > _MOST_PROBLEMS:
        more = counted(len(check.problems) - _MOST_PROBLEMS, "more problem")
        yield Finding("every point", "FAIL", f"and {more}")


def describe(finding: Finding) -> str:
    """Return a finding as text for a person."""
    return labeled(finding.result, f"{finding.part}: {finding.detail}", width=6)
