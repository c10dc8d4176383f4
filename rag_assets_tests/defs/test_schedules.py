"""The schedule, and who turns it on."""

from pathlib import Path

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.defs.schedules import reason_to_skip
from rag_assets.errors import ConfigurationError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings
from rag_assets_tests.redis_servers import free_port


def schedule(**settings: object) -> dg.ScheduleDefinition:
    repository = build_definitions(load_settings(**settings)).get_repository_def()
    return repository.get_schedule_def("refresh_on_schedule")


def test_times_and_time_zone_are_settings() -> None:
    assert schedule().cron_schedule == "0 */6 * * *"
    changed = schedule(schedule="30 7 * * mon-fri", schedule_timezone="Europe/Berlin")
    assert changed.cron_schedule == "30 7 * * mon-fri"
    assert changed.execution_timezone == "Europe/Berlin"


@pytest.mark.parametrize("line", ["* * * * *", "@hourly", "0 6,18 * * *", "*/15 8-18 * * 1-5", "0 0 L * *"])
def test_cron_lines_of_dagster_are_taken(line: str) -> None:
    assert schedule(schedule=line).cron_schedule == line


@pytest.mark.parametrize("line", ["hourly", "* * * *", "* * * * * *", "0 */6 * * *; rm", "six o'clock"])
def test_a_line_of_another_form_is_refused_by_every_command(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"RAG_SCHEDULE: expected a cron line of five fields"):
        load_settings(schedule=line)


@pytest.mark.parametrize("line", ["61 * * * *", "0 0 31 2 *", "*/90 * * * *", "@often", "0 25 * * *"])
def test_a_line_without_such_a_time_is_refused_when_the_schedule_is_loaded(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"RAG_SCHEDULE: Dagster refuses the cron line"):
        schedule(schedule=line)


@pytest.mark.parametrize("name", ["Berlin", "/etc/passwd", "../UTC", "Europe", "UTC+1"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"RAG_SCHEDULE_TIMEZONE: expected the name of a time zone"):
        load_settings(schedule_timezone=name)


def test_schedule_and_sensors_are_off_until_a_setting_turns_them_on() -> None:
    for auto_refresh in (False, True):
        settings = load_settings(auto_refresh=auto_refresh, sources=["filesystem", "s3"])
        repository = build_definitions(settings).get_repository_def()
        watching = [one for one in repository.sensor_defs if one.name.startswith("refresh_on_")]
        assert len(watching) == 3
        on = [one.name for one in watching if one.default_status == dg.DefaultSensorStatus.RUNNING]
        assert len(on) == (3 if auto_refresh else 0)
        expected = dg.DefaultScheduleStatus.RUNNING if auto_refresh else dg.DefaultScheduleStatus.STOPPED
        assert repository.get_schedule_def("refresh_on_schedule").default_status == expected


def test_a_ledger_without_an_answer_skips_no_refresh(tmp_path: Path) -> None:
    """A refresh that fails is alerted. A tick is not."""
    settings = load_settings(
        state_dir=tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}", redis_timeout_seconds=0.2
    )
    knowledge_base = KnowledgeBase(settings)
    assert reason_to_skip(knowledge_base) is None
    knowledge_base.close()
