"""Progress and warnings of the package in the log of the run, with any dagster.yaml and in every process of a run.

Dagster collects the loggers named in `managed_python_loggers` of a dagster.yaml. An instance without that file showed none.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

_PACKAGE = __name__.partition(".")[0]


@contextmanager
def logged_in_run(log: dg.DagsterLogManager | None, instance: dg.DagsterInstance | None) -> Generator[None]:
    """Send what the package logs within the block to the log of the run too, each record once.

    Args:
        log, instance: of the step, or of the resource. None outside of a run.
    """
    # Of the root logger Dagster collects all records by itself.
    if log is None or instance is None or "root" in instance.managed_python_loggers:
        yield
        return
    logger = logging.getLogger(_PACKAGE)
    to_run = _ToRun(log)
    level = logger.level
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    logger.addHandler(to_run)
    try:
        yield
    finally:
        logger.removeHandler(to_run)
        logger.setLevel(level)


class _ToRun(logging.Handler):
    def __init__(self, log: dg.DagsterLogManager) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if not hasattr(record, "dagster_meta"):  # collected by Dagster, for `managed_python_loggers`
            self._log.log(record.levelno, record.getMessage())
