"""Recognizes runs whose process died: they had the lease of the refresh, lost it, and do not end."""

from collections.abc import Collection, Mapping

DEAD_AFTER_SECONDS = 600.0


def dead_runs(
    running: Collection[str], lease_holder: str | None, lost_at: Mapping[str, float], now: float
) -> tuple[list[str], dict[str, float]]:
    """Return the dead runs, and the new state.

    A living process renews its lease every few seconds. A paused one gets ten minutes to go on.

    Args:
        running: runs without an end, after they had the lease. A run waiting for the lease is none.
        lease_holder: the run with a living lease, None for none.
        lost_at: run -> time of the first tick without its lease, in seconds since the epoch.
    """
    without = [run_id for run_id in running if run_id != lease_holder]
    # A clock set back begins the time again.
    since = {run_id: min(lost_at.get(run_id, now), now) for run_id in without}
    dead = [run_id for run_id, at in since.items() if now - at > DEAD_AFTER_SECONDS]
    return dead, {run_id: at for run_id, at in since.items() if run_id not in dead}
