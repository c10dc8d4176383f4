from rag_assets.alerts.dead_runs import DEAD_AFTER_SECONDS, dead_runs

NOW = 1_767_225_600.0
LATE = NOW + DEAD_AFTER_SECONDS + 1


def test_a_run_without_its_lease_for_ten_minutes_is_dead() -> None:
    dead, lost_at = dead_runs(["a"], None, {}, NOW)
    assert (dead, lost_at) == ([], {"a": NOW})
    assert dead_runs(["a"], None, lost_at, NOW + DEAD_AFTER_SECONDS) == ([], lost_at)
    assert dead_runs(["a"], None, lost_at, LATE) == (["a"], {})


def test_a_run_with_its_lease_lives_and_the_one_before_it_is_dead() -> None:
    _, lost_at = dead_runs(["a", "b"], "b", {}, NOW)
    assert dead_runs(["a", "b"], "b", lost_at, LATE) == (["a"], {})


def test_a_paused_run_that_takes_its_lease_again_lives() -> None:
    _, lost_at = dead_runs(["a"], None, {}, NOW)
    _, lost_at = dead_runs(["a"], "a", lost_at, NOW + 300)
    assert dead_runs(["a"], None, lost_at, LATE) == ([], {"a": LATE})


def test_a_clock_set_back_kills_nothing() -> None:
    _, lost_at = dead_runs(["a"], None, {}, LATE)
    assert dead_runs(["a"], None, lost_at, NOW) == ([], {"a": NOW})
