from dataclasses import replace

from rag_assets.alerts.messages import DamageAlert, DegradedAlert, FailureAlert

ALERT = FailureAlert(
    job_name="refresh",
    run_id="0123456789abcdef",
    failed_step="recall_gate",
    reason="Recall@5 0.500 is below the threshold 0.75",
    production="20260101T000000-g1",
)


def test_an_alert_names_the_failed_step_the_reason_and_the_served_generation() -> None:
    text = ALERT.text()
    for part in ("not refreshed", "recall_gate", "01234567", "refresh", ALERT.reason, "`20260101T000000-g1`"):
        assert part in text
    assert ALERT.run_id not in text


def test_a_failure_outside_the_steps_names_only_the_run() -> None:
    text = replace(ALERT, failed_step="").text()
    assert "*Knowledge base not refreshed*: run `01234567` (refresh) failed\n" in text


def test_markup_in_a_reason_is_escaped() -> None:
    text = FailureAlert("refresh", "r" * 16, "chunks", "<!channel> a & b <https://x|y>", "g1").text()
    assert "&lt;!channel&gt; a &amp; b &lt;https://x|y&gt;" in text


def test_a_long_reason_is_cut() -> None:
    text = FailureAlert("refresh", "r" * 16, "chunks", "x" * 100_000, "g1").text()
    assert len(text) < 2000
    assert "x …\n" in text


def test_an_alert_names_the_sources_that_could_not_be_read() -> None:
    text = replace(ALERT, unreadable_sources={"wiki": "source wiki: <refused>"}).text()
    assert "Degraded: `wiki`: source wiki: &lt;refused&gt;" in text


def test_a_degraded_refresh_names_its_unreadable_sources_and_the_served_generation() -> None:
    text = DegradedAlert("0123456789abcdef", {"wiki": "it is down", "bucket": "403"}, "g2").text()
    for part in ("in part", "01234567", "`wiki`: it is down", "`bucket`: 403", "kept", "`g2`"):
        assert part in text


def test_damaged_production_is_named_in_alerts() -> None:
    failure = FailureAlert(
        "refresh", "0123456789", "eval_report", "it failed", "g1", production_damage="1 file <"
    )
    assert failure.text().endswith("Production still serves `g1`, and is damaged: 1 file &lt;")
    rebuilt = DamageAlert("0123456789", "generation g1 is damaged", "g2").text()
    assert "generation g1 is damaged" in rebuilt
    assert rebuilt.endswith("Production now: `g2`")
