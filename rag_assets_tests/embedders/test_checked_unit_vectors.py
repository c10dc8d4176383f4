"""The check of every vector from a model."""

import numpy as np
import pytest

from rag_assets.embedders.base import checked_unit_vectors
from rag_assets.errors import InvalidVectorError

HUGE = [3e38, 3e38, 1.0, 0.0]


@pytest.mark.parametrize("vector", [HUGE, [2e19, 0, 0, 0], [-3e38, 0, 0, 0]])
def test_a_vector_with_an_overflowing_length_is_refused(vector: list[float]) -> None:
    with pytest.raises(InvalidVectorError, match="too long for text 1 of 2"):
        checked_unit_vectors([[1, 0, 0, 0], vector], 2, 4, "model")


@pytest.mark.parametrize("length", [1e-9, 1.0, 1e9, 1e18])
def test_a_vector_of_another_length_becomes_a_unit_vector(length: float) -> None:
    [vector] = checked_unit_vectors([[length, 0, 0, 0]], 1, 4, "model")
    np.testing.assert_allclose(vector, [1, 0, 0, 0])
