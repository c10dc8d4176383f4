"""Tags of a run: its outcome, its score, a missing source. The list of runs in the UI shows them, and filters by them."""

import logging

import dagster as dg

from rag_assets.defs.storage_errors import storage_problem
from rag_assets.refresh.outcome import OUTCOME_KEY

_logger = logging.getLogger(__name__)

OUTCOME_TAG = f"rag_assets/{OUTCOME_KEY}"
"""A value of `Outcome`, or `died`."""
RECALL_TAG = "rag_assets/recall_at_5"
DEGRADED_TAG = "rag_assets/degraded"
"""`yes` if a source could not be read, or a document is quarantined."""
LEASE_TAG = "rag_assets/had_lease"
"""`yes` once the run had the lease of the refresh. If it loses the lease and does not end, its process has died."""


def tag_run(instance: dg.DagsterInstance, run_id: str, **tags: str | float | None) -> None:
    """Add tags to a run: `outcome`, `recall_at_5`, `degraded`, `had_lease`. Those without a value are left out."""
    found = {
        f"rag_assets/{name}": f"{value:.4f}" if isinstance(value, float) else value
        for name, value in tags.items()
        if value not in (None, "")
    }
    if not found:
        return
    try:
        instance.add_run_tags(run_id, {name: str(value) for name, value in found.items()})
    except Exception as error:  # of Dagster's storage: what is recorded next must not be lost
        _logger.warning("the run has no tags in Dagster: %s", storage_problem(error) or type(error).__name__)
