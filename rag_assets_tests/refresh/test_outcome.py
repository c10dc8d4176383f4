import subprocess
import sys

import pytest

from rag_assets.errors import (
    DeletionRefused,
    EmbedderUnavailable,
    GateFailed,
    GenerationDamaged,
    PromotionRefused,
    RagAssetsError,
    StaleInputError,
    SupersededError,
)
from rag_assets.refresh.outcome import Outcome, outcome_of


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SupersededError("another refresh came first"), Outcome.SUPERSEDED),
        (GateFailed("below the threshold"), Outcome.BLOCKED),
        (PromotionRefused("edited report"), Outcome.REFUSED),
        (StaleInputError("other settings"), Outcome.REFUSED),
        (DeletionRefused("too many", "abc", "the deletion of 12 documents"), Outcome.REFUSED),
        (EmbedderUnavailable("no answer"), Outcome.FAILED),
        (GenerationDamaged("a point is missing"), Outcome.FAILED),
        (KeyError("x"), Outcome.FAILED),
    ],
)
def test_every_error_has_an_outcome(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome
    assert not outcome.is_success
    assert outcome.is_failure is (outcome is not Outcome.SUPERSEDED)


def test_an_unknown_error_of_ours_is_a_failure() -> None:
    assert outcome_of(RagAssetsError("?")) is Outcome.FAILED


def test_the_outcomes_load_nothing_heavy() -> None:
    loaded = "import sys, rag_assets.refresh.outcome; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {module for module in modules if module.startswith("rag_assets")}
    assert ours == {"rag_assets", "rag_assets.errors", "rag_assets.refresh", "rag_assets.refresh.outcome"}
    assert not {"dagster", "pydantic", "numpy", "pyarrow"} & set(modules)
