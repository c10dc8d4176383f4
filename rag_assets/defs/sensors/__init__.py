"""Sensors for runs and sources: `alerting` posts to Slack, `watching` starts refreshes."""

from rag_assets.defs.sensors.alerting import slack_on_degraded_source, slack_on_failure
from rag_assets.defs.sensors.watching import (
    refresh_on_changed_documents,
    refresh_on_new_objects,
    refresh_on_object_events,
)

ALL_SENSORS = (
    slack_on_failure,
    slack_on_degraded_source,
    refresh_on_changed_documents,
    refresh_on_new_objects,
    refresh_on_object_events,
)
