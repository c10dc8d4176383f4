"""Rules of promotion, rollback and deletion that hold in every store."""

from rag_assets.errors import PromotionRefused, RefusedError, SupersededError
from rag_assets.records import GenerationManifest, ProductionState


def expect_production(state: ProductionState, expected: str | None) -> None:
    """Raises: SupersededError: another generation is in production."""
    if state.production != expected:
        raise SupersededError(f"production is {state.production}, no longer {expected}; refresh again")


def check_promotable(
    generation: str,
    manifest: GenerationManifest | None,
    state: ProductionState,
    *,
    exists: bool,
    lift_hold: bool,
) -> None:
    """Check that a candidate may go live.

    Args:
        manifest: of the candidate; None if it was never sealed.
        exists: whether anything of the candidate is there, sealed or not.

    Raises:
        SupersededError: the candidate is gone.
        PromotionRefused: it is not sealed, or rejected, or production is held.
    """
    if not exists:
        raise SupersededError(f"generation {generation} is gone; refresh again")
    if manifest is None:
        raise PromotionRefused(f"generation {generation} was never sealed; stage it again")
    if manifest.rejected:
        raise PromotionRefused(f"generation {generation} was rejected: {manifest.rejected}")
    if generation != state.production and state.held is not None and not lift_hold:
        raise PromotionRefused(
            f"production is held at {state.production} since {state.held} was rolled back; resume first"
        )


def previous_of(state: ProductionState) -> str:
    """Return the generation that a rollback returns to.

    Raises:
        RefusedError: there is none.
    """
    if state.previous is None:
        raise RefusedError("there is no previous generation to roll back to")
    return state.previous


def check_deletable(generation: str, state: ProductionState) -> None:
    """Raises: RefusedError: the generation is production, previous or held."""
    if generation in (state.production, state.previous, state.held):
        raise RefusedError(f"generation {generation} is production, previous or held, and is not deleted")
