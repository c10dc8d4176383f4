"""The check of the embedding model, for the Dagster UI."""

from typing import Any

from rag_assets.artifacts.model_record import ModelCheck


def model_check_metadata(check: ModelCheck | None) -> dict[str, Any]:
    """Return the outcome and its tokens, with the sentence of a problem."""
    if check is None:
        return {}
    problem = {"model_check_detail": check.detail} if check.detail else {}
    return {"model_check": check.outcome, "num_probe_tokens": check.tokens, **problem}
