"""The refresh lease: keeps two refreshes from doing the same work twice.

The lease only saves work. The compare-and-swap of the promotion ensures that only one of two refreshes is promoted. The
lease frees itself: without renewal it expires, and the death of a process with pids in the same space ends it at once.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from rag_assets.disk.processes import pid_space, process_is_gone
from rag_assets.errors import LedgerUnavailable, SupersededError
from rag_assets.ledgers.base import LeaseHolder, Ledger

EXPIRED_AFTER_SECONDS = 20.0  # longer than the gap between two steps of the multiprocess executor
_RENEW_SECONDS = 3.0
_CONFIRMED_AFTER_SECONDS = 7.0
"""Time to watch a lease with an old date. It covers two renewals."""
_POLL_SECONDS = 0.5
_logger = logging.getLogger(__name__)


def live_holder(ledger: Ledger) -> LeaseHolder | None:
    """Return the holder of the lease if it is alive, or None."""
    holder = ledger.lease_holder()
    return holder if holder is not None and _is_live(holder) else None


def _is_live(holder: LeaseHolder) -> bool:
    if holder.age_seconds >= EXPIRED_AFTER_SECONDS:
        return False
    return holder.pid is None or not process_is_gone(holder.host, holder.pid)


def wait_for_lease(ledger: Ledger, owner: str) -> None:
    """Take the lease. Wait as long as another refresh is alive.

    Clocks may jump, so an old lease is watched before it is taken: a living holder renews it meanwhile.
    """
    watched: LeaseHolder | None = None
    watched_since = logged_at = 0.0
    while True:
        holder = ledger.lease_holder()
        now = time.monotonic()
        if holder is not None and not (watched and holder.is_unchanged_since(watched)):
            watched, watched_since = holder, now
        dead = holder if holder and _is_dead(holder, unchanged_seconds=now - watched_since) else None
        holder = ledger.acquire_lease(owner, pid_space(), os.getpid(), dead)
        if holder is None:
            return
        if now - logged_at > 10:
            logged_at = now
            _logger.info("waiting for the refresh of run %s in process %s", holder.owner, holder.pid)
        time.sleep(_POLL_SECONDS)


def _is_dead(holder: LeaseHolder, unchanged_seconds: float) -> bool:
    if holder.pid is not None and process_is_gone(holder.host, holder.pid):
        return True
    is_old = holder.age_seconds >= EXPIRED_AFTER_SECONDS
    return unchanged_seconds >= (_CONFIRMED_AFTER_SECONDS if is_old else EXPIRED_AFTER_SECONDS)


@contextmanager
def lease_renewed(
    ledger: Ledger, owner: str, *, process_outlives_step: bool
) -> Generator[Callable[[], bool]]:
    """Renew the lease of the owner during the block, and release it if the block fails.

    Without a lease, as in a step started alone, nothing happens. Yields `holds`: whether the owner had the lease all
    the time. It raises `SupersededError` if another refresh took it, as from a process paused for too long.

    Args:
        process_outlives_step: whether the process also runs the next step. Then its death ends the lease.
    """
    if not ledger.renew_lease(owner, os.getpid()):
        yield lambda: False
        return
    finished = threading.Event()

    def holds() -> bool:
        if ledger.renew_lease(owner, os.getpid()):
            return True
        holder = ledger.lease_holder()
        if holder is not None and _is_live(holder):
            raise SupersededError(
                f"run {holder.owner} took over while this one was paused: nothing more is sent, refresh again"
            )
        return False

    def renew() -> None:
        while not finished.wait(_RENEW_SECONDS):
            with suppress(LedgerUnavailable):  # it may answer the next time
                ledger.renew_lease(owner, os.getpid())

    thread = threading.Thread(target=renew, name="refresh-lease", daemon=True)
    thread.start()
    try:
        yield holds
    except BaseException:
        finished.set()
        thread.join()
        ledger.release_lease(owner)
        raise
    finished.set()
    thread.join()
    ledger.renew_lease(owner, os.getpid() if process_outlives_step else None)
