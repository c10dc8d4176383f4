"""The common checks of all writers of a generation."""

from collections.abc import Callable, Container, Iterable

from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    HandleClosed,
    RefusedError,
    StaleInputError,
)
from rag_assets.records import GenerationManifest
from rag_assets.text.wording import counted
from rag_assets.vector_stores.names import check_generation_name


def check_new_generation(generation: str, dimensions: int, exists: Callable[[], bool]) -> None:
    """Check the name and the dimensions of a candidate.

    Raises:
        ConfigurationError: either is unusable.
        RefusedError: the generation exists.
    """
    check_generation_name(generation)
    if dimensions < 1:
        raise ConfigurationError(f"a vector cannot have {counted(dimensions, 'dimension')}")
    if exists():
        raise RefusedError(f"generation {generation} already exists: a name is used only once")


def check_base_dimensions(base: str, found: int, expected: int) -> None:
    """Raises: ConfigurationError: the base was built with another model."""
    if found != expected:
        raise ConfigurationError(
            f"generation {base} has {counted(found, 'dimension')}, not {expected}: another model cannot be built on it"
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
    """Return the error of a writer used outside its `with` block, or after a failure."""
    return HandleClosed(
        f"generation {generation} is not being written: it was sealed, or failed, or its `with` block was not entered"
    )


def incomplete_copy(base: str | None, found: int, expected: int) -> GenerationDamaged:
    """Return the error of a copy with another number of points than its base."""
    return GenerationDamaged(
        f"the copy of generation {base} has {counted(found, 'point')} instead of {expected:,}"
    )
