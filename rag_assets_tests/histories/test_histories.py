"""Random histories of a knowledge base, compared with the model after each step. A failure prints its seed.

`pytest -s -m soak rag_assets_tests/histories/test_histories.py` runs thousands of steps, with another seed each time, and
prints their counts. `HISTORIES=300` makes them more.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from rag_assets_tests.histories.machine import KnowledgeBaseMachine, steps_taken
from rag_assets_tests.histories.redis_machine import RedisMachine
from rag_assets_tests.redis_servers import redis_server

SOAK_HISTORIES = int(os.environ.get("HISTORIES", "100"))
_HISTORY = settings(
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # Shrinking takes an hour of refreshes: the failing history is short enough to read.
    phases=(Phase.explicit, Phase.generate),
)


def run_histories(
    number: int, steps: int, derandomize: bool, machine: type[KnowledgeBaseMachine] = KnowledgeBaseMachine
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(_HISTORY, max_examples=number, stateful_step_count=steps, derandomize=derandomize),
    )


@pytest.mark.slow
def test_a_few_histories() -> None:
    run_histories(6, 25, derandomize=True)


@pytest.fixture(scope="module")
def on_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[RedisMachine]]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        RedisMachine.url = server.url
        yield RedisMachine


@pytest.mark.slow
def test_a_few_histories_on_redis(on_redis: type[RedisMachine]) -> None:
    run_histories(4, 25, derandomize=True, machine=on_redis)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("ledger", ["sqlite", "redis"])
def test_many_histories(ledger: str, request: pytest.FixtureRequest) -> None:
    machine = request.getfixturevalue("on_redis") if ledger == "redis" else KnowledgeBaseMachine
    steps_taken.clear()
    try:
        run_histories(SOAK_HISTORIES, 40, derandomize=False, machine=machine)
    finally:
        print(f"{steps_taken.total()} steps: {dict(steps_taken.most_common())}")
    assert steps_taken.total() > 20 * SOAK_HISTORIES
