"""Checks that every writer of a generation makes, whatever holds the points."""

from collections.abc import Callable, Container, Iterable

from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    HandleClosed,
    RefusedError,
    StaleInputError,
)
from rag_assets.records import GenerationManifest
from rag_assets.vector_stores.names import check_generation_name


def check_new_generation(generation: str, dimensions: int, exists: Callable[[], bool]) -> None:
    """Check the name and the dimensions of a candidate.

    Raises:
        ConfigurationError: either cannot be used.
        RefusedError: the generation exists.
    """
    check_generation_name(generation)
    if dimensions < 1:
        raise ConfigurationError(f"a vector cannot have {dimensions} dimensions")
    if exists():
        raise RefusedError(f"generation {generation} exists already; a name is used once")


def check_base_dimensions(base: str, found: int, expected: int) -> None:
    """Raises: ConfigurationError: the base was built with another model."""
    if found != expected:
        raise ConfigurationError(
            f"generation {base} has {found} dimensions, not {expected}: another model cannot be built on it"
        )


def check_own_manifest(manifest: GenerationManifest, generation: str) -> None:
    """Raises: RefusedError: the manifest names another generation."""
    if manifest.generation != generation:
        raise RefusedError(f"the manifest of {manifest.generation} cannot seal generation {generation}")


def require_present(point_ids: Iterable[str], found: Container[str], generation: str) -> None:
    """Raises: StaleInputError: one of the points is not in the candidate."""
    for point_id in point_ids:
        if point_id not in found:
            raise StaleInputError(
                f"point {point_id} is not in generation {generation}: the changes were made for another base"
            )


def not_being_written(generation: str) -> HandleClosed:
    """Return the error of a writer that is used outside its `with` block, or after a failure."""
    return HandleClosed(
        f"generation {generation} is not being written: it was sealed, failed, or never begun"
    )


def incomplete_copy(base: str | None, found: int, expected: int) -> GenerationDamaged:
    """Return the error of a candidate that begins with fewer or more points than its base has."""
    return GenerationDamaged(f"the copy of generation {base} holds {found} points instead of {expected}")
