"""The text of each message to Slack, and its delivery. No document text, no secrets."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

# httpx logs every URL that it calls, and a webhook's URL is a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)

_TIMEOUT_SECONDS = 10.0
_TOTAL_SECONDS = 30.0
_MOST_CHARACTERS = 1500


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
    return _escape(text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " …")


def _escape(text: str) -> str:
    """Escape what Slack would read as markup; see its documentation on formatting text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def post_to_slack(webhook_url: str, text: str) -> str:
    """Post one message.

    Returns:
        "" if it was delivered, else why not; never the URL, which is a secret.
    """
    problems: list[str] = []
    # A timeout of httpx is one of each read: a server that drips would hold us for as long as it likes.
    posting = threading.Thread(target=lambda: problems.append(_post(webhook_url, text)), daemon=True)
    posting.start()
    posting.join(_TOTAL_SECONDS)
    return problems[0] if problems else f"Slack did not answer within {_TOTAL_SECONDS:.0f} s"


def _post(webhook_url: str, text: str) -> str:
    import httpx

    try:
        response = httpx.post(webhook_url, json={"text": text}, timeout=_TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return f"Slack could not be reached ({type(error).__name__})"
    if response.is_success:
        return ""
    return f"Slack answered with status {response.status_code}"
