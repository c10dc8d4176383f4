"""The tour through the history of a knowledge base, and the faults in the core that it finds."""

import pytest

from rag_assets_tests.histories.mutants import MUTANTS, Mutant, with_mutant
from rag_assets_tests.histories.tour import take_the_tour


@pytest.mark.slow
def test_the_tour() -> None:
    take_the_tour()


@pytest.mark.soak
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_fault_in_the_core_is_found(mutant: Mutant) -> None:
    with with_mutant(mutant), pytest.raises(AssertionError):
        take_the_tour()
