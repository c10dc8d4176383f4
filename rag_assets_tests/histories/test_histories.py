"""Random histories of a knowledge base, compared with the model after each step. A failure prints its seed.

`pytest -s -m soak rag_assets_tests/histories/test_histories.py` runs thousands of steps, with another seed each time, and
prints their counts. `HISTORIES=300` makes them more.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from rag_assets_tests.histories.machine import KnowledgeBaseMachine, steps_taken

SOAK_HISTORIES = int(os.environ.get("HISTORIES", "100"))
_HISTORY = settings(
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # Shrinking takes an hour of refreshes: the failing history is short enough to read.
    phases=(Phase.explicit, Phase.generate),
)


def run_histories(number: int, steps: int, derandomize: bool) -> None:
    run_state_machine_as_test(
        KnowledgeBaseMachine,
        settings=settings(_HISTORY, max_examples=number, stateful_step_count=steps, derandomize=derandomize),
    )


@pytest.mark.slow
def test_a_few_histories() -> None:
    run_histories(6, 25, derandomize=True)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_histories() -> None:
    steps_taken.clear()
    try:
        run_histories(SOAK_HISTORIES, 40, derandomize=False)
    finally:
        print(f"{steps_taken.total()} steps: {dict(steps_taken.most_common())}")
    assert steps_taken.total() > 20 * SOAK_HISTORIES
