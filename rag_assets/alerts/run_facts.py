"""Facts about ended runs and about production, as far as messages need them. Without Dagster."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rag_assets.vector_stores.production_state import Hold

NOT_BEGUN = "not-begun-"
"""Begin of the id of a refresh without a run."""
SUPERSEDED_IN_A_ROW = 3
"""Number of refreshes superseded one after the other before a message. One or two are normal."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Measurements of a run. None and "" if it did not get so far.

    Attributes:
        cost_usd: None if the price is unknown.
    """

    recall_at_5: float | None = None
    eval_threshold: float | None = None
    mrr: float | None = None
    num_documents: int | None = None
    changes: str = ""
    num_tokens: int | None = None
    cost_usd: float | None = 0.0
    duration_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One ended run.

    Attributes:
        job: name of its job.
        ended_at: seconds since the epoch.
        outcome: a value of `rag_assets.refresh.outcome.Outcome`, or `died`, `partial` (some assets alone) or `decided`.
        step: the failed step, "" if the run failed outside its steps.
        reason: of a failure, without secrets and document text.
        error_type: the type of the error behind a failure.
        is_retried: whether Dagster starts the run again by itself.
        unreadable_sources: source -> problem.
        newly_unreadable: those with a part still readable in the refresh before.
        read_sources: sources read by this run, the unreadable ones included.
        damage: of production, found and mended by this run.
        generation: the candidate.
    """

    run_id: str
    job: str
    ended_at: float
    outcome: str
    step: str = ""
    reason: str = ""
    error_type: str = ""
    is_retried: bool = False
    num_superseded_in_a_row: int = 0
    unreadable_sources: Mapping[str, str] = field(default_factory=dict[str, str])
    newly_unreadable: frozenset[str] = frozenset()
    read_sources: frozenset[str] = frozenset()
    damage: str = ""
    generation: str = ""
    mlflow_url: str = ""
    numbers: Numbers = Numbers()

    @property
    def has_run(self) -> bool:
        return not self.run_id.startswith(NOT_BEGUN)

    @property
    def is_success(self) -> bool:
        return self.outcome in ("live", "unchanged", "held")

    @property
    def is_failure(self) -> bool:
        if self.outcome == "superseded":
            return self.num_superseded_in_a_row >= SUPERSEDED_IN_A_ROW
        return self.outcome in ("blocked", "refused", "failed", "died")


@dataclass(frozen=True, slots=True)
class Situation:
    """The state of the knowledge base at the time of a message.

    Attributes:
        production: the served generation, "" for none, or words about it.
        production_damage: difference of production from its seal, "" if none is known.
        sources: the configured ones, None if unknown.
    """

    production: str
    production_damage: str = ""
    hold: Hold | None = None
    sources: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message comes from.

    Attributes:
        dagster_url: of the UI, "" for no links.
    """

    knowledge_base: str
    environment: str
    dagster_url: str = ""
