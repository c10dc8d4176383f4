"""Named points where a refresh can be killed or stopped.

The product has no hook for this. Its functions and the event log of Dagster are wrapped from outside, in the dying process.
"""

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

from rag_assets.defs.recorded_runs import STEPS

_signal = signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), _signal)


def _before(owner: Any, name: str, nth: int = 1) -> Callable[[], None]:
    return lambda: _wrap(owner, name, nth, before=True)


def _after(owner: Any, name: str, nth: int = 1) -> Callable[[], None]:
    return lambda: _wrap(owner, name, nth, before=False)


def _wrap(owner: Any, name: str, nth: int, *, before: bool) -> None:
    original = getattr(owner, name)
    calls = 0

    @wraps(original)
    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if before and calls == nth:
            die()
        result = original(*args, **kwargs)
        if not before and calls == nth:
            die()
        return result

    setattr(owner, name, dying)


def _all(*installs: Callable[[], None]) -> Callable[[], None]:
    def install() -> None:
        for one in installs:
            one()

    return install


def _at_event(event_type: str, step: str) -> Callable[[], None]:
    """Die as soon as Dagster has recorded the start or end of a step."""

    def install() -> None:
        import dagster as dg

        original = dg.DagsterInstance.handle_new_event

        def handle(self: dg.DagsterInstance, event: Any, **kwargs: Any) -> Any:
            result = original(self, event, **kwargs)
            if (
                event.is_dagster_event
                and event.dagster_event.event_type_value == event_type
                and event.step_key == step
            ):
                die()
            return result

        dg.DagsterInstance.handle_new_event = handle  # type: ignore[method-assign]

    return install


def _points() -> dict[str, Callable[[], None]]:
    from rag_assets.artifacts.parquet_artifact import ArtifactWriter
    from rag_assets.generations import staging as generations
    from rag_assets.ledgers.redis import RedisLedger
    from rag_assets.ledgers.sqlite import SqliteLedger
    from rag_assets.refresh import promotion
    from rag_assets.text.store import TextStore
    from rag_assets.vector_stores.embedded import folders
    from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
    from rag_assets.vector_stores.embedded.writer import EmbeddedGenerationWriter

    def small_batches(install: Callable[[], None]) -> Callable[[], None]:
        def both() -> None:
            generations._BATCH = 8
            install()

        return both

    points = {f"at the start of {step}": _at_event("STEP_START", step) for step in STEPS}
    points |= {f"at the end of {step}": _at_event("STEP_SUCCESS", step) for step in STEPS}
    points |= {
        "when the lease was taken": _all(
            _after(SqliteLedger, "acquire_lease"), _after(RedisLedger, "acquire_lease")
        ),
        "while chunks are written": _before(ArtifactWriter, "close", nth=3),
        "when vectors were paid for and cached": _all(
            _after(SqliteLedger, "put_vectors"), _after(RedisLedger, "put_vectors")
        ),
        "when the base was copied": _after(EmbeddedGenerationWriter, "_copied_from"),
        "when old points were deleted": _after(EmbeddedGenerationWriter, "delete"),
        "in the middle of staging": small_batches(_after(EmbeddedGenerationWriter, "upsert", nth=3)),
        "before the seal": _before(EmbeddedGenerationWriter, "seal"),
        "before the seal is published": _before(folders.GenerationFolders, "publish"),
        "after the seal": _after(EmbeddedGenerationWriter, "seal"),
        "before the promotion": _before(EmbeddedVectorStore, "promote"),
        "before the pointer is replaced": _before(folders.GenerationFolders, "write_state"),
        "when the pointer was replaced": _after(folders.GenerationFolders, "write_state"),
        "after the promotion": _after(EmbeddedVectorStore, "promote"),
        "when the ledger was written": _all(
            _after(SqliteLedger, "put_documents"), _after(RedisLedger, "put_documents")
        ),
        "before upkeep": _before(promotion, "sweep"),
        "while the retired generation is deleted": _before(folders.shutil, "rmtree"),
        "before the ledger is pruned": _all(_before(SqliteLedger, "prune"), _before(RedisLedger, "prune")),
        "before texts are pruned": _before(TextStore, "prune"),
    }
    return points


def kill_at(point: str) -> None:
    _points()[point]()


def stop_at(point: str) -> None:
    """Stop at a point. The process continues after SIGCONT."""
    global _signal
    _signal = signal.SIGSTOP
    kill_at(point)


def presume_others_dead() -> None:
    """Count a lease as expired half a second after its last renewal, instead of 20 s."""
    from rag_assets.ledgers import lease

    lease.EXPIRED_AFTER_SECONDS = 0.5


def presume_others_dead_at_once() -> None:
    """The same, without a look at clocks that may have jumped."""
    from rag_assets.ledgers import lease

    lease.EXPIRED_AFTER_SECONDS = lease._CONFIRMED_AFTER_SECONDS = 0.5


def die_near_the_promotion(seconds: float) -> None:
    """Die this long after the last checks before the promotion begin."""
    import threading

    from rag_assets.refresh import promotion

    original = promotion.check_candidate

    def check_candidate(*args: Any, **kwargs: Any) -> Any:
        threading.Timer(seconds, die).start()
        return original(*args, **kwargs)

    promotion.check_candidate = check_candidate


KILL_POINTS = tuple(_points())
