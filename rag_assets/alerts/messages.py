"""The text of each alert, in Slack's markup. Contains no document text and no secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_MAX_CHARACTERS = 1500


@dataclass(frozen=True, slots=True)
class FailureAlert:
    """A refresh that failed, and what that means for those who read from production."""

    job_name: str
    run_id: str
    failed_step: str
    reason: str
    production: str
    unreadable_sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def text(self) -> str:
        return (
            f":rotating_light: *Knowledge base not refreshed*: `{self.failed_step}` failed in run `{self.run_id[:8]}` "
            f"({self.job_name})\n{_shortened(self.reason)}{_problems(self.unreadable_sources)}\nProduction goes on "
            f"serving `{self.production}`"
        )


@dataclass(frozen=True, slots=True)
class DegradedAlert:
    """A refresh that succeeded without some of its sources.

    Attributes:
        unreadable_sources: source -> problem.
    """

    run_id: str
    unreadable_sources: Mapping[str, str]
    production: str

    def text(self) -> str:
        return (
            f":warning: *Knowledge base refreshed in part*: run `{self.run_id[:8]}` could not read every source"
            f"{_problems(self.unreadable_sources)}\nWhat production has of them is kept and served on: "
            f"`{self.production}`"
        )


def _problems(unreadable_sources: Mapping[str, str]) -> str:
    return "".join(
        f"\nDegraded: `{source}`: {_shortened(problem)}" for source, problem in unreadable_sources.items()
    )


def _shortened(text: str) -> str:
    return _escape(text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + " …")


def _escape(text: str) -> str:
    """Escape what Slack would read as markup; see its documentation on formatting text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
