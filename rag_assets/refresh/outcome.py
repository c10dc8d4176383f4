"""The outcome of a refresh: one vocabulary for metadata in Dagster, `status`, alerts and commands.

Imports nothing heavy, so a command line can use it before its first line.
"""

from enum import StrEnum

from rag_assets.errors import GateFailed, RefusedError, SupersededError

OUTCOME_KEY = "outcome"
"""Key in the metadata of `production_collection`, of `recall_gate`, and of every failed step."""


class Outcome(StrEnum):
    """The end of a refresh. A persisted name: values are never renamed.

    `live`, `unchanged` and `held` are successes. `superseded` is a red run without an alert. The others are failures.
    """

    LIVE = "live"
    """The candidate is in production."""
    UNCHANGED = "unchanged"
    """Nothing had to be written: production is the candidate."""
    HELD = "held"
    """The candidate passed the gate and waits, because a person holds production after a rollback."""
    SUPERSEDED = "superseded"
    """Another refresh came first. Production is newer."""
    BLOCKED = "blocked"
    """The gate stopped the candidate. Production is unchanged."""
    REFUSED = "refused"
    """A rule of the pipeline stopped the refresh, for example too many deletions. Production is unchanged."""
    FAILED = "failed"
    """Something broke: a source, a model, the vector store, the program. Production is unchanged."""
    CANCELED = "canceled"
    """A person ended it, or the system."""

    @property
    def is_success(self) -> bool:
        """Whether the run is green."""
        return self in (Outcome.LIVE, Outcome.UNCHANGED, Outcome.HELD)

    @property
    def is_failure(self) -> bool:
        """Whether a person has to act."""
        return self in (Outcome.BLOCKED, Outcome.REFUSED, Outcome.FAILED)


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of a refresh stopped by this error."""
    match error:
        case SupersededError():
            return Outcome.SUPERSEDED
        case GateFailed():
            return Outcome.BLOCKED
        case RefusedError():
            return Outcome.REFUSED
        case _:
            return Outcome.FAILED
