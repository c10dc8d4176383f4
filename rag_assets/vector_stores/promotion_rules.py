"""Rules of promotion, rollback and deletion, the same in every store."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from rag_assets.errors import (
    GenerationDamaged,
    ProductionHeld,
    PromotionRefused,
    RefusedError,
    SupersededError,
)
from rag_assets.records import GenerationManifest, Readings
from rag_assets.vector_stores.production_state import Hold, ProductionState


def check_hold(generation: str, state: ProductionState) -> None:
    """Check that no person holds production. Comes before every other check: a rollback also changes production.

    Raises:
        ProductionHeld: one does, and this generation is another.
    """
    if state.hold is not None and generation != state.production:
        raise ProductionHeld(
            f"{state.hold_in_words}. Candidate {generation} waits. `rag-assets resume` lifts the hold"
        )


def expect_production(state: ProductionState, expected: str | None) -> None:
    """Raises: SupersededError: another generation is in production than expected."""
    if state.production == expected:
        return
    if state.hold is not None and state.held == expected:
        raise SupersededError(
            f"a rollback came first: {state.hold_in_words}. Refresh again: the candidate is evaluated, and waits"
        )
    raise SupersededError(f"production is now {state.production}, not {expected} as expected: refresh again")


def check_readings(numbers: Mapping[str, int], readings: Readings) -> None:
    """Check that no source was read before a reading that counted.

    Args:
        numbers: source -> number of its reading. Empty for a reading without a number, older than all others.

    Raises:
        SupersededError: a later reading counted, or the number is from another store.
    """
    for source, number in sorted((numbers or dict.fromkeys(readings.counted, 0)).items()):
        counted = readings.counted.get(source, 0)
        if number < counted:
            raise SupersededError(
                f"reading {number} of source {source} is older than reading {counted}, already taken into account by "
                "another refresh: materialize all assets"
            )
        if number > readings.last:
            raise SupersededError(
                f"reading {number} of source {source} is not from this vector store, where the last one is "
                f"{readings.last}: materialize all assets"
            )


def next_reading(readings: Readings, above: int = 0) -> Readings:
    return Readings(max(readings.last, *readings.counted.values(), above) + 1, readings.counted)


def count_readings(readings: Readings, numbers: Mapping[str, int]) -> Readings:
    return Readings(readings.last, {**readings.counted, **numbers})


def later_readings(one: Readings, other: Readings | None) -> Readings:
    """Return the higher number of each source, and of the last reading."""
    if other is None:
        return one
    numbers = {
        source: max(one.counted.get(source, 0), other.counted.get(source, 0))
        for source in (*one.counted, *other.counted)
    }
    return Readings(max(one.last, other.last, *numbers.values(), 0), numbers)


def expect_state(state: ProductionState, expected: ProductionState) -> None:
    """Raises: SupersededError: production, previous or hold are others than expected."""
    if state != expected:
        raise SupersededError(
            f"production, its previous generation or the hold changed in the meantime (production is now "
            f"{state.production or 'nothing'}): retry"
        )


def check_exchanged(state: ProductionState, manifest_of: Callable[[str], GenerationManifest | None]) -> None:
    """Check that the generations of a new state may be served, the rejected ones too: they were before.

    Raises:
        SupersededError: one does not exist.
        GenerationDamaged: one differs from its seal.
    """
    for name in sorted({state.production, state.previous} - {None}, key=str):
        manifest = manifest_of(str(name))
        if manifest is None:
            raise SupersededError(f"generation {name} was deleted or never sealed: retry")
        if manifest.damaged:
            raise GenerationDamaged(f"generation {name} is damaged: {manifest.damaged}")


def check_promotable(
    generation: str,
    manifest: GenerationManifest | None,
    *,
    exists: bool,
) -> None:
    """Check whether a candidate may go live.

    Args:
        manifest: of the candidate. None if it was never sealed.
        exists: whether the candidate exists, sealed or not.

    Raises:
        SupersededError: the candidate was deleted.
        PromotionRefused: it is not sealed, or rejected.
        GenerationDamaged: its points differ from its seal.
    """
    if not exists:
        raise SupersededError(f"generation {generation} was deleted: refresh again")
    if manifest is None:
        raise PromotionRefused(f"generation {generation} was never sealed: refresh again")
    if manifest.rejected:
        raise PromotionRefused(f"generation {generation} was rejected: {manifest.rejected}")
    if manifest.damaged:
        raise GenerationDamaged(f"generation {generation} is damaged: {manifest.damaged}")


def previous_of(state: ProductionState, expected: str | None) -> str:
    """Return the target of a rollback.

    Args:
        expected: the generation to be taken out of service.

    Raises:
        RefusedError: there is none, or production is held already.
        SupersededError: another generation is in production.
    """
    if state.hold is not None:
        raise RefusedError(
            f"{state.hold_in_words.replace('is held', 'is already held', 1)}. Nothing was changed: no generation "
            "before it is kept"
        )
    if state.production != expected:
        raise SupersededError(
            f"production is now {state.production or 'nothing'}, not {expected or 'nothing'} as expected: look at it, then "
            "roll back again"
        )
    if state.previous is None:
        raise RefusedError("there is no previous generation to roll back to")
    return state.previous


def rolled_back(state: ProductionState, previous: str, by: str, reason: str) -> ProductionState:
    """Return the state after a rollback, held from now on."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return ProductionState(production=previous, hold=Hold(state.production or "", since, by, reason))


def check_deletable(generation: str, state: ProductionState) -> None:
    """Raises: RefusedError: the generation is production, previous or held."""
    if generation in state.kept:
        raise RefusedError(
            f"generation {generation} cannot be deleted: it is the production, previous or held one"
        )
