"""Progress and warnings of the package are in the log of the run, once, with any dagster.yaml."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rag_assets import progress
from rag_assets.defs.run_log import logged_in_run
from rag_assets_tests.pipeline import Pipeline

COLLECTING = "python_logs: {managed_python_loggers: [NAME], python_log_level: INFO}\n"
NO_YAML = ""


class RecordingLog:
    """Stands in for the log of a step."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, level: int, message: str) -> None:
        self.lines.append(message)


def instance_with(*loggers: str) -> Any:
    return SimpleNamespace(managed_python_loggers=loggers)


def test_the_level_of_the_logger_is_restored() -> None:
    logger = logging.getLogger("rag_assets")
    before = (logger.level, list(logger.handlers))
    log: Any = RecordingLog()
    with logged_in_run(log, instance_with()):
        logging.getLogger("rag_assets.progress").info("1 of %d", 2)
        logging.getLogger("rag_assets.progress").debug("not shown")
    logging.getLogger("rag_assets.progress").warning("after the block")
    assert log.lines == ["1 of 2"]
    assert (logger.level, logger.handlers) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "dagster_yaml",
    [NO_YAML, COLLECTING.replace("NAME", "rag_assets"), COLLECTING.replace("NAME", "root")],
    ids=["none", "rag_assets", "root"],
)
def test_each_line_is_once_in_the_log_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dagster_yaml: str
) -> None:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{dagster_yaml}")
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0.0)
    pipeline = Pipeline(tmp_path / "home", monkeypatch, dagster_home=tmp_path / "dagster")
    try:
        pipeline.write("a.md", "# A\n\nText.\n")
        pipeline.write("b.adoc", "no parser takes this")
        run = pipeline.materialize("raw_documents", with_checks=False).checked()
        log = [entry for entry in pipeline.instance.all_logs(run.run_id) if not entry.is_dagster_event]
    finally:
        pipeline.close()
    messages = [(entry.step_key, entry.user_message) for entry in log]
    assert sum("1 .adoc" in message for _, message in messages) == 1
    assert sum(message.startswith("1 of 1 documents") for _, message in messages) == 1
    assert {step for step, _ in messages} == {"raw_documents"}
