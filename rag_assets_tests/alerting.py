"""Evaluates the sensor of alerts as the daemon does, with its cursor from tick to tick."""

import dagster as dg

from rag_assets.defs.sensors import slack_alerts
from rag_assets_tests.pipeline import Pipeline
from rag_assets_tests.slack_receiver import SlackReceiver


class AlertSensor:
    """The sensor of one pipeline. Its first tick is over: runs from now on are reported."""

    def __init__(self, pipeline: Pipeline, slack: SlackReceiver, *, begins: bool = True) -> None:
        self._pipeline = pipeline
        self._slack = slack
        self.cursor: str | None = None
        self.skipped = ""
        if begins:
            self.tick()
        else:
            self.cursor = '{"begun_at": 4e9, "seen_until": 4e9}'  # no run is looked at

    def tick(self) -> list[str]:
        """Return the texts that arrived during one tick."""
        before = len(self._slack.texts)
        with (
            self._pipeline.knowledge_base() as knowledge_base,
            dg.build_sensor_context(
                self._pipeline.instance, cursor=self.cursor, resources={"knowledge_base": knowledge_base}
            ) as context,
        ):
            data = slack_alerts.evaluate_tick(context)
        self.cursor, self.skipped = data.cursor or self.cursor, data.skip_message or ""
        return self._slack.texts[before:]

    def only(self) -> str:
        """Return the only text that arrived during one tick."""
        (text,) = self.tick()
        return text
