"""The result of one refresh, as `rag-assets refresh` prints it. The keys of its JSON are documented in docs/cli.md."""

from dataclasses import dataclass, field
from typing import Any

from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import Outcome


@dataclass(slots=True)
class RefreshResult:
    """The end of a refresh.

    Attributes:
        run_id: of the run in Dagster, "" if it did not begin.
        reason: why it was stopped, "" after a success.
        failed_step: "" if no step failed.
        verdict: of the gate, "" if it was not asked.
        changes: `num_added` and so on, empty if the sources were not compared.
        num_tokens, cost_usd: for texts, recordings and pictures. The cost is None if it is unknown.
        num_probe_tokens: for the check of the embedding model.
        production_before, production: generations. None if there is none, or with a `production_problem`.
        production_problem: why production is unknown, "" if it is known.
        hold: since when, by whom and why production is held, "" if it is not.
        unreadable_sources: source -> problem.
        alert: what became of the Slack alert, "" if none was due or a daemon posts it.
        notes: other facts in need of attention.
        waiting_approvals: tokens of all refusals that wait for a person, the oldest first.
    """

    outcome: Outcome
    run_id: str = ""
    reason: str = ""
    failed_step: str = ""
    verdict: str = ""
    changes: dict[str, int] = field(default_factory=dict[str, int])
    num_tokens: int = 0
    cost_usd: float | None = 0.0
    num_probe_tokens: int = 0
    production_before: str | None = None
    production: str | None = None
    production_problem: str = ""
    num_documents: int | None = None
    num_points: int | None = None
    hold: str = ""
    unreadable_sources: dict[str, str] = field(default_factory=dict[str, str])
    num_quarantined: int = 0
    alert: str = ""
    notes: list[str] = field(default_factory=list[str])
    waiting_approvals: list[str] = field(default_factory=list[str])

    @property
    def is_degraded(self) -> bool:
        return bool(self.unreadable_sources or self.num_quarantined)


def add_production(result: RefreshResult, knowledge_base: KnowledgeBase) -> None:
    """Add what is in production now. If it cannot be read, add the reason."""
    try:
        state = knowledge_base.vector_store.production_state()
        result.production, result.hold = state.production, str(state.hold or "")
        if (manifest := knowledge_base.production_manifest()) is not None:
            result.num_documents, result.num_points = manifest.documents_count, manifest.points_count
    except RagAssetsError as error:
        result.production_problem = str(error)


def result_from(values: dict[str, Any]) -> RefreshResult:
    """Return the result from the report of the process that refreshed."""
    result = RefreshResult(**{name: value for name, value in values.items() if name != "kind"})
    result.outcome = Outcome(values["outcome"])
    return result
