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
from rag_assets.errors import RagAssetsError, SupersededError
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


class HeldLease:
    """The lease of a refresh, as a step of it sees it."""

    def __init__(self, ledger: Ledger, owner: str) -> None:
        self._ledger = ledger
        self._owner = owner
        self._lock = threading.Lock()
        self._was_held = False
        self._was_lost = False

    def keep(self, *, was_held: bool | None = None) -> bool:
        """Renew the lease. If the ledger lost it, and no other refresh has it, take it again.

        A server with the ledger may be emptied or evict it. Without a lease two refreshes would do the same work.

        Args:
            was_held: whether this refresh had the lease before. By default, whether this step had it.
        """
        with self._lock:
            is_kept = self._ledger.renew_lease(self._owner, os.getpid())
            if not is_kept and (self._was_held if was_held is None else was_held):
                is_kept = self._take_again()
            self._was_held = self._was_held or is_kept
            return is_kept

    def _take_again(self) -> bool:
        if self._ledger.acquire_lease(self._owner, pid_space(), os.getpid()) is not None:
            return False
        # A full server grants it without writing it.
        if not self._ledger.renew_lease(self._owner, os.getpid()):
            return False
        if not self._was_lost:
            self._was_lost = True
            _logger.warning("the lease of this refresh was gone from the ledger, and is taken again")
        return True

    def holds(self) -> bool:
        """Return whether the refresh had the lease all the time.

        Raises:
            SupersededError: another refresh took it, as from a process paused for too long.
        """
        if not self._was_held:
            return False
        if self.keep() and not self._was_lost:
            return True
        holder = self._ledger.lease_holder()
        if holder is not None and holder.owner != self._owner and _is_live(holder):
            raise SupersededError(
                f"run {holder.owner} took over while this one was paused, or after the ledger lost its lease: nothing more is "
                "sent, refresh again"
            )
        return False

    def release(self) -> None:
        """End the lease. It frees itself if the ledger does not answer."""
        with self._lock:
            self._was_held = False
            with _only_warned("release"):
                self._ledger.release_lease(self._owner)

    def leave(self, *, process_outlives_step: bool) -> None:
        """Renew the lease for the next step, unless it was released."""
        if self._was_held:
            with _only_warned("renew"):
                if self.keep() and not process_outlives_step:
                    self._ledger.renew_lease(self._owner, None)


@contextmanager
def _only_warned(verb: str) -> Generator[None]:
    """Warn of a ledger without an answer. The step has ended, and its result must not depend on it."""
    try:
        yield
    except RagAssetsError as error:
        _logger.warning("could not %s the lease of this refresh, which frees itself: %s", verb, error)


@contextmanager
def lease_renewed(
    ledger: Ledger,
    owner: str,
    *,
    process_outlives_step: bool,
    was_held: bool = False,
    is_retried: Callable[[BaseException], bool] = lambda _: False,
) -> Generator[HeldLease]:
    """Renew the lease of the owner during the block, and release it if the block fails for good.

    Without a lease, as in a step started alone, nothing happens.

    Args:
        process_outlives_step: whether the process also runs the next step. Then its death ends the lease.
        was_held: whether an earlier step of the refresh had the lease. If it is gone, it is taken again.
        is_retried: whether the step is repeated soon after an error. Then the lease is kept.
    """
    lease = HeldLease(ledger, owner)
    if not lease.keep(was_held=was_held):
        yield lease
        return
    finished = threading.Event()

    def renew() -> None:
        while not finished.wait(_RENEW_SECONDS):
            with suppress(RagAssetsError):  # it may answer the next time
                lease.keep()

    thread = threading.Thread(target=renew, name="refresh-lease", daemon=True)
    thread.start()
    try:
        yield lease
    except BaseException as error:
        finished.set()
        thread.join()
        if is_retried(error):
            lease.leave(process_outlives_step=process_outlives_step)
        else:
            lease.release()
        raise
    finished.set()
    thread.join()
    lease.leave(process_outlives_step=process_outlives_step)
