"""Sensors for runs and sources: `alerting` posts to Slack, `watching` starts refreshes."""

import dagster as dg

from rag_assets.defs.sensors.alerting import slack_alerts
from rag_assets.defs.sensors.watching import watching_sensors
from rag_assets.errors import ConfigurationError
from rag_assets.settings import Settings
from rag_assets.sources.declarations import kinds_of
from rag_assets.sources.registry import SOURCES


def sensors_for(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensor of alerts, and the sensors for kinds of sources that are configured."""
    watching = watching_sensors(settings)
    try:
        kinds = kinds_of(settings.sources, settings.sources_file)
        watched = {getattr(SOURCES.get(kind), "watched_as", "") for kind in kinds}
    except ConfigurationError:
        watched = set(watching)  # a refresh reports the error
    return [slack_alerts, *(sensor for what in watching if what in watched for sensor in watching[what])]
