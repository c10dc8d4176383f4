"""The result of a run, read from its events."""

from typing import Any

import dagster as dg

from rag_assets.changes.change_set import Change
from rag_assets.defs.metadata.raw_documents import UNREADABLE_KEY
from rag_assets.defs.runs.record import RecordedRun
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome
from rag_assets.refresh.result import RefreshResult


def result_of(run: dg.DagsterRun, recorded: RecordedRun) -> RefreshResult:
    """Return what the events of a run say."""
    metadata, failure = recorded.metadata, recorded.failure
    verdict = (recorded.gate.description or "") if recorded.gate else ""
    result = RefreshResult(_outcome(run, metadata), run.run_id, verdict=verdict)
    if failure is not None:
        # A run ended from outside has no step that shows the reason.
        result.failed_step = "" if failure.is_from_outside else failure.step
        if result.outcome is not Outcome.CANCELED:
            result.outcome, result.reason = failure.outcome, failure.reason
    raw, compared = metadata.get("raw_documents", {}), metadata.get("deduped_documents", {})
    embedded, staged = metadata.get("embeddings", {}), metadata.get("staging_collection", {})
    result.changes = {key: compared[key] for change in Change if (key := f"num_{change.value}") in compared}
    result.num_tokens = sum(one.get("num_tokens", 0) for one in (raw, embedded))
    costs = [one.get("cost_usd", 0.0) for one in (raw, embedded)]
    result.cost_usd = None if any(isinstance(cost, str) for cost in costs) else sum(costs)
    result.num_probe_tokens = raw.get("num_probe_tokens", 0)
    result.unreadable_sources = raw.get(UNREADABLE_KEY, {})
    result.num_quarantined = raw.get("num_quarantined", 0) + staged.get("num_quarantined", 0)
    return result


def _outcome(run: dg.DagsterRun, metadata: dict[str, dict[str, Any]]) -> Outcome:
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return Outcome(metadata.get("production_collection", {}).get(OUTCOME_KEY, Outcome.FAILED))
    canceled = (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)
    return Outcome.CANCELED if run.status in canceled else Outcome.FAILED
