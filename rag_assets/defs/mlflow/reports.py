"""Dagster, seen from a sender: links to runs in MLflow, and warnings in the run before it."""

import json
import logging
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

MLFLOW_RUN_TAG, MLFLOW_URL_TAG = "mlflow/run_id", "mlflow/url"
"""Tags of a run in Dagster."""


def report_address(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return where a sender reports about a run, "" for an ephemeral instance.

    Args:
        run_id: "" for none. Runs are linked all the same.
    """
    if instance.is_ephemeral:
        return ""
    return json.dumps({"instance": serialize_value(instance.get_ref()), "run_id": run_id})


class DagsterRuns(logging.Handler):
    """Links runs to MLflow, and shows the warnings of this package in one run. It never fails its caller.

    Args:
        address: made by `report_address`, or "".
    """

    def __init__(self, address: str) -> None:
        super().__init__(logging.WARNING)
        self._run_id = ""
        self._instance: dg.DagsterInstance | None = None
        if address:
            with suppress(Exception):  # the storage of Dagster may be away
                found = json.loads(address)
                self._run_id = found["run_id"]
                reference = deserialize_value(found["instance"], InstanceRef)
                # A command without DAGSTER_HOME has removed its temporary folder. Opened, it would be there again.
                if Path(reference.local_artifact_storage_data.config_dict["base_dir"]).is_dir():
                    self._instance = dg.DagsterInstance.from_ref(reference)

    def __enter__(self) -> Self:
        logger = logging.getLogger("rag_assets")
        logger.addHandler(self)
        logger.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("rag_assets").removeHandler(self)
        if self._instance is not None:
            with suppress(Exception):
                self._instance.dispose()

    def link(self, run_id: str, mlflow_run_id: str, url: str) -> None:
        """Tag a run. That of an earlier refresh may be in another instance."""
        tags = {MLFLOW_RUN_TAG: mlflow_run_id, **({MLFLOW_URL_TAG: url} if url else {})}
        try:
            if self._instance is not None and self._instance.has_run(run_id):
                self._instance.add_run_tags(run_id, tags)
        except Exception as error:  # of the storage of Dagster
            logging.getLogger(__name__).warning(
                "run %s has no link to MLflow: unexpected %s", run_id, type(error).__name__
            )

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            run = self._instance.get_run_by_id(self._run_id) if self._instance is not None else None
            if self._instance is None or run is None:
                return
            event = DagsterEvent(
                DagsterEventType.ENGINE_EVENT.value,
                run.job_name,
                message=record.getMessage(),
                event_specific_data=EngineEventData({}),
            )
            self._instance.report_dagster_event(event, run.run_id, logging.WARNING)
