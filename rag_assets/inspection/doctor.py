"""What is configured, and whether each part answers. `--deep` reads every point of production."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rag_assets.errors import BenchmarkError, ConfigurationError, RagAssetsError
from rag_assets.evaluation.benchmark import fitting_problem, load_benchmark
from rag_assets.fingerprint import fingerprint_difference, short_hash
from rag_assets.generations.verification import check_every_point
from rag_assets.inspection.unconfigured_sources import unconfigured_lines, unconfigured_sources
from rag_assets.knowledge_base import KnowledgeBase

_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, looked at."""

    part: str
    ok: bool
    detail: str

    @property
    def failed(self) -> bool:
        return not self.ok


def examine(knowledge_base: KnowledgeBase, *, deep: bool = False) -> Iterator[Finding]:
    """Look at one part after the other; a failure of one does not keep the others from being looked at."""
    parts: dict[str, Callable[[KnowledgeBase], str]] = {
        "variables": _variables,
        "vector store": _vector_store,
        "ledger": _ledger,
        "sources": _sources,
        "embedding model": _embedder,
        "benchmark": _benchmark,
        "slack": _slack,
    }
    for part, look in parts.items():
        try:
            yield Finding(part, True, look(knowledge_base))
        except RagAssetsError as error:
            yield Finding(part, False, str(error))
    if deep:
        yield from _every_point(knowledge_base)


def _variables(knowledge_base: KnowledgeBase) -> str:
    unread = knowledge_base.unread_variables()
    if unread:
        raise ConfigurationError("; ".join(unread))
    return "every RAG_ variable that is set is read"


def _vector_store(knowledge_base: KnowledgeBase) -> str:
    where = knowledge_base.settings.qdrant_url or f"embedded, in {knowledge_base.state_dir}"
    manifest = knowledge_base.production_manifest()
    if manifest is None:
        return f"{where}; nothing in production yet"
    reader = knowledge_base.vector_store.read(manifest.generation)
    try:
        return f"{where}; production {manifest.generation} holds {reader.count()} points"
    finally:
        reader.close()


def _ledger(knowledge_base: KnowledgeBase) -> str:
    production = knowledge_base.vector_store.production_state().production
    documents = knowledge_base.documents_of(production)
    unconfigured = unconfigured_sources(knowledge_base.settings, documents)
    known = f"{knowledge_base.state_dir / 'ledger.sqlite'}; knows {len(documents)} documents of production"
    return "; ".join([known, *unconfigured_lines(unconfigured)])


def _sources(knowledge_base: KnowledgeBase) -> str:
    reads = knowledge_base.media_models().reads
    listed = {
        source.name: sum(reads(entry.filename) for entry in source.list_entries())
        for source in knowledge_base.sources()
    }
    return ", ".join(f"{name} lists {count} documents" for name, count in listed.items())


def _embedder(knowledge_base: KnowledgeBase) -> str:
    embedder = knowledge_base.embedder
    vector = embedder.embed_query("Does the model answer?")
    detail = f"{embedder.model.provider} {embedder.model.model}, {len(vector)} dimensions"
    fingerprint = knowledge_base.fingerprint()
    manifest = knowledge_base.production_manifest()
    if manifest is not None:
        differing = fingerprint_difference(manifest.fingerprint, fingerprint)
        if differing:
            detail += f"; the next refresh rebuilds in full, these settings differ: {', '.join(differing)}"
    return detail


def _benchmark(knowledge_base: KnowledgeBase) -> str:
    path = knowledge_base.settings.benchmark_file
    benchmark = load_benchmark(path)
    documents = knowledge_base.documents_of(knowledge_base.vector_store.production_state().production)
    # Without production, or if nobody knows what it holds, there is nothing that it could be compared with.
    if documents and (problem := fitting_problem(path, documents)):
        raise BenchmarkError(f"compared with what is in production, {problem}")
    return f"{path}, {len(benchmark.queries)} questions"


def _slack(knowledge_base: KnowledgeBase) -> str:
    return (
        "a webhook is set"
        if knowledge_base.settings.slack_webhook_url
        else "no webhook is set, nobody is told"
    )


def _every_point(knowledge_base: KnowledgeBase) -> Iterator[Finding]:
    try:
        manifest = knowledge_base.production_manifest()
        if manifest is None:
            return
        check = check_every_point(knowledge_base.vector_store, manifest, short_hash(manifest.fingerprint))
    except RagAssetsError as error:
        yield Finding("every point", False, str(error))
        return
    if not check.problems:
        yield Finding("every point", True, f"{check.num_points} points are as they were sealed")
    for problem in check.problems[:_MOST_PROBLEMS]:
        yield Finding("every point", False, problem)
    if len(check.problems) > _MOST_PROBLEMS:
        yield Finding("every point", False, f"and {len(check.problems) - _MOST_PROBLEMS} more problems")


def describe(finding: Finding) -> str:
    """Return a finding for a person."""
    return f"{'ok  ' if finding.ok else 'FAIL'}  {finding.part}: {finding.detail}"
