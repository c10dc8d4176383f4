"""The text of each alert, in Slack's markup. Contains no document text and no secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_MAX_CHARACTERS = 1500


@dataclass(frozen=True, slots=True)
class FailureAlert:
    """A failed refresh, and the generation still served to readers.

    Attributes:
        failed_step: empty if the run failed outside its steps.
        production_damage: difference of production from its seal, "" if none is known.
        hold: who holds production, since when and why, "" without a hold.
    """

    job_name: str
    run_id: str
    failed_step: str
    reason: str
    production: str
    unreadable_sources: Mapping[str, str] = field(default_factory=dict[str, str])
    production_damage: str = ""
    hold: str = ""

    def text(self) -> str:
        run = f"run `{self.run_id[:8]}` ({self.job_name})"
        failed = f"`{self.failed_step}` failed in {run}" if self.failed_step else f"{run} failed"
        return (
            f":rotating_light: *Knowledge base not refreshed*: {failed}\n{_shortened(self.reason)}"
            f"{_problems(self.unreadable_sources)}\nProduction still serves `{self.production}`"
            f"{_damage(self.production_damage)}{_held(self.hold)}"
        )


@dataclass(frozen=True, slots=True)
class DegradedAlert:
    """A successful refresh without some of its sources.

    Attributes:
        unreadable_sources: source -> problem.
        hold: as in `FailureAlert`.
    """

    run_id: str
    unreadable_sources: Mapping[str, str]
    production: str
    hold: str = ""

    def text(self) -> str:
        return (
            f":warning: *Knowledge base refreshed in part*: run `{self.run_id[:8]}` could not read all sources"
            f"{_problems(self.unreadable_sources)}\nTheir documents in production are kept and still served: "
            f"`{self.production}`{_held(self.hold)}"
        )


@dataclass(frozen=True, slots=True)
class DamageAlert:
    """A successful refresh after production was found damaged.

    Attributes:
        hold: as in `FailureAlert`.
    """

    run_id: str
    damage: str
    production: str
    hold: str = ""

    def text(self) -> str:
        return (
            f":warning: *Production was damaged*: run `{self.run_id[:8]}` copied none of its points and built all of "
            f"them again\n{_shortened(self.damage)}\nCheck the disk or the Qdrant server. Production now: "
            f"`{self.production}`{_held(self.hold)}"
        )


def _damage(damage: str) -> str:
    return f", and is damaged: {_shortened(damage)}" if damage else ""


def _held(hold: str) -> str:
    """State the decision of a colleague as a fact. An alert never asks to undo it."""
    return f"\nHeld by a decision: {_shortened(hold)}. A refresh that passes the gate waits" if hold else ""


def _problems(unreadable_sources: Mapping[str, str]) -> str:
    return "".join(
        f"\nDegraded: `{source}`: {_shortened(problem)}" for source, problem in unreadable_sources.items()
    )


def _shortened(text: str) -> str:
    return _escape(text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + " …")


def _escape(text: str) -> str:
    """Escape Slack's control characters. See Slack's documentation on formatting text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
