"""Places of Dagster's own data, for the dagster.yaml of this repository: one private folder.

It is `.dagster` in `DAGSTER_HOME`, else in the working folder. A relative path in a dagster.yaml belongs to the working folder of
each process, so a copied file scattered runs and logs over all of them. Dagster's own default without `DAGSTER_HOME` is
deleted at the end of a command.
"""

from typing import Any

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from rag_assets.disk.private_folders import claim_folder
from rag_assets.environment import dagster_home

_STORAGE = "storage"


def _claimed(*below: str) -> str:
    """Return a folder in `.dagster`, private to this user: logs and metadata name documents."""
    home = dagster_home() / ".dagster"
    claim_folder(home, "DAGSTER_HOME")
    return str(home.joinpath(*below))


class Storage(DagsterSqliteStorage):
    """Runs, events and schedules."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "Storage":  # noqa: ARG003 - Dagster's signature
        return cls.from_local(_claimed(_STORAGE), inst_data)


class ComputeLogs(LocalComputeLogManager):
    """What steps print."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "ComputeLogs":  # noqa: ARG003
        return cls(_claimed(_STORAGE), inst_data=inst_data)


class ArtifactStorage(LocalArtifactStorage):
    """Files of Dagster's IO managers and schedules."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "ArtifactStorage":  # noqa: ARG003
        return cls(_claimed(), inst_data)
