"""The schedule and the sensors for refreshes, seen from their ticks in Dagster: a failed tick starts no run."""

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus

from rag_assets.alerts.triggers import Triggers
from rag_assets.defs.automation import follow_upstream
from rag_assets.defs.runs.record import reason_in
from rag_assets.defs.schedules import SCHEDULE
from rag_assets.defs.sensors.watching import WATCHING

_NAMES = frozenset({SCHEDULE, follow_upstream.name, *WATCHING})
_FAILED_IN_A_ROW = {InstigatorType.SCHEDULE: 1}
"""Failed ticks before a message. A schedule has its next one in hours. A sensor has one each minute, and may fail now and then."""
_OTHERS_IN_A_ROW = 3
_TICKS = 20
_ENDED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
_TRIED_AGAIN = "DagsterUserCodeUnreachableError"
"""The code server restarts. Dagster repeats the tick."""


def triggers_in(instance: dg.DagsterInstance, location: str | None, since: float) -> Triggers:
    """Return the state of all running triggers.

    Args:
        location: name of their code location, None for any.
        since: ticks before are not reported, in seconds since the epoch.
    """
    failing: dict[str, str] = {}
    are_known = True
    for state in instance.all_instigator_state():
        origin = state.origin.repository_origin.code_location_origin
        is_ours = state.name in _NAMES and location in (None, origin.location_name)
        if not is_ours or state.status is InstigatorStatus.STOPPED:
            continue
        ticks = _ticks(instance, state)
        ended = [tick for tick in ticks if (tick.end_timestamp or tick.timestamp) >= since]
        are_known = are_known and (bool(ended) or not ticks)
        needed = _FAILED_IN_A_ROW.get(state.instigator_type, _OTHERS_IN_A_ROW)
        last = ended[:needed]
        if len(last) == needed and all(tick.status is TickStatus.FAILURE for tick in last):
            failing[state.name] = reason_in(last[0].error, "its tick")
    return Triggers(failing, are_known)


def _ticks(instance: dg.DagsterInstance, state: InstigatorState) -> list[InstigatorTick]:
    """Return the last ticks, the latest first."""
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_TICKS, statuses=_ENDED)
    return [tick for tick in ticks if tick.error is None or tick.error.cls_name != _TRIED_AGAIN]
