"""Exit codes of `rag-assets status` and `plan` from their reports, and the line of `status --nagios`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rag_assets.cli.exit_codes import ExitCode, nagios
from rag_assets.errors import RagAssetsError, TransientError
from rag_assets.inspection.pending_approvals import message_now
from rag_assets.inspection.status import is_unfinished
from rag_assets.refresh.outcome import Outcome
from rag_assets.text.wording import counted

_Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a knowledge base as an exit code, with the reason in one sentence."""

    code: ExitCode
    reason: str


def health(report: _Report) -> Health:
    """Return the worst finding of `rag-assets status`.

    Args:
        report: as returned by `inspection.status.status`.
    """
    for find in _FINDINGS:
        found = find(report)
        if found is not None:
            return found
    production = report["production"]
    documents, chunks = (
        counted(production["num_documents"], "document"),
        counted(production["num_points"], "chunk"),
    )
    return Health(ExitCode.OK, f"{documents} and {chunks} in {production['generation']}")


def plan_code(report: _Report) -> ExitCode:
    """Return the exit code of the next refresh, as far as its plan can tell.

    Args:
        report: as returned by `inspection.plan.plan`.
    """
    changes, raw, measured = (
        report[asset] for asset in ("deduped_documents", "raw_documents", "eval_report")
    )
    if changes["deletion_refused"] or changes["rebuild_refused"]:
        return ExitCode.REFUSED
    if measured["no_benchmark"] or measured["benchmark_does_not_fit"]:
        return ExitCode.BLOCKED
    # Without changes there is no candidate to hold back: the refresh ends as unchanged.
    if report["production_collection"]["held_generation"] and report["staging_collection"]["written"]:
        return ExitCode.HELD
    return ExitCode.DEGRADED if raw["unreadable_sources"] or changes["num_quarantined"] else ExitCode.OK


def nagios_line(found: Health) -> tuple[str, int]:
    """Return one line for a monitor, and its exit code."""
    state, word = nagios(found.code)
    return f"{word} - {found.reason}", state


def nagios_error(error: RagAssetsError) -> tuple[str, int]:
    """Return the line and the exit code if the status could not be found out."""
    if isinstance(error, TransientError):
        return nagios_line(Health(ExitCode.FAILED, str(error)))
    return f"UNKNOWN - {error}", 3


def _broken(report: _Report) -> Health | None:
    production = report["production"]
    if production is None:
        place = "knowledge base {name} in {place}".format(**report["knowledge_base"])
        return Health(ExitCode.FAILED, f"nothing is in production ({place})")
    return (
        Health(ExitCode.FAILED, f"production is damaged: {production['problem']}")
        if production["problem"]
        else None
    )


def _without_ledger(report: _Report) -> Health | None:
    problem = report["ledger_problem"]
    return Health(ExitCode.FAILED, f"no refresh can begin: {problem}") if problem else None


def _stopped(report: _Report) -> Health | None:
    """Return how the last refresh was stopped: by its outcome, or in state of earlier versions by its failure or report."""
    outcome, failure, last = report["last_outcome"], report["last_failure"], report["last_refresh"]
    codes = {
        Outcome.FAILED: ExitCode.FAILED,
        Outcome.BLOCKED: ExitCode.BLOCKED,
        Outcome.REFUSED: ExitCode.REFUSED,
    }
    if outcome is not None and outcome["outcome"] in codes:
        word = Outcome(outcome["outcome"])
        message = message_now(outcome["message"], report["pending_approvals"])
        return Health(codes[word], f"the last refresh was {word}: {message}".replace("was failed", "failed"))
    if failure is not None:
        return Health(ExitCode.FAILED, f"the last refresh failed: {failure['message']}")
    evaluation = last and last["evaluation"]
    if evaluation and not evaluation["gate_passed"]:
        return Health(ExitCode.BLOCKED, f"the last refresh was blocked: {evaluation['verdict']}")
    if last and is_unfinished(report):
        return Health(
            ExitCode.FAILED, f"the last refresh ended after {last['last_step']}, without an outcome"
        )
    return None


def _held(report: _Report) -> Health | None:
    if not report["held_generation"]:
        return None
    hold = report["hold"] or {}
    said = [f"{word} {hold[key]}" for key, word in (("since", "since"), ("by", "by")) if hold.get(key)]
    reason = f": {hold['reason']}" if hold.get("reason") else ""
    return Health(ExitCode.HELD, " ".join(["production is held", *said]) + reason)


def _degraded(report: _Report) -> Health | None:
    last = report["last_refresh"]
    if not last:
        return None
    problems = [f"source {source}: {problem}" for source, problem in last["unreadable_sources"].items()]
    if last["quarantined"]:
        problems.append(f"{counted(len(last['quarantined']), 'document')} quarantined")
    return Health(ExitCode.DEGRADED, "; ".join(problems)) if problems else None


def _superseded(report: _Report) -> Health | None:
    outcome = report["last_outcome"]
    if outcome is None or outcome["outcome"] != Outcome.SUPERSEDED:
        return None
    return Health(ExitCode.SUPERSEDED, f"the last refresh was superseded: {outcome['message']}")


_FINDINGS: tuple[Callable[[_Report], Health | None], ...] = (
    _broken,
    _without_ledger,
    _stopped,
    _held,
    _degraded,
    _superseded,
)
"""The worst first."""
