"""A refresh without one of its sources: one alert, and unchanged access lists."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets_tests.alerting import AlertSensor
from rag_assets_tests.pipeline import Pipeline, text_about, words
from rag_assets_tests.slack_receiver import SlackReceiver


@pytest.fixture
def slack(promoted: Pipeline) -> Iterator[SlackReceiver]:
    with SlackReceiver() as receiver:
        promoted.configure(SLACK_WEBHOOK_URL=receiver.url)
        yield receiver


@pytest.fixture
def archive(promoted: Pipeline) -> Path:
    """A second source: a folder with an access list."""
    folder = promoted.home / "archive"
    declared = promoted.home / "sources.yaml"
    declared.write_text(
        f"sources:\n  archive:\n    kind: filesystem\n    folder: {folder}\n    access: [staff, board]\n"
    )
    promoted.write("old.md", text_about("old"), folder)
    promoted.write("older.md", text_about("older"), folder)
    promoted.configure(RAG_SOURCES="filesystem,archive", RAG_SOURCES_FILE=str(declared))
    promoted.refresh().checked()
    return folder


def test_an_outage_is_reported_once_and_its_end_and_again_after_it(
    promoted: Pipeline, archive: Path, slack: SlackReceiver
) -> None:
    sensor = AlertSensor(promoted, slack)
    away = archive.rename(archive.with_name("away"))
    promoted.refresh().checked()
    text = sensor.only()
    assert "Source not readable: archive" in text
    assert "Source `archive`: " in text
    assert str(promoted.production().production) in text
    promoted.refresh().checked()
    assert sensor.tick() == []

    away.rename(archive)
    promoted.refresh().checked()
    assert "Recovered: source archive is readable again" in sensor.only()
    archive.rename(away)
    promoted.refresh().checked()
    assert "Source not readable: archive" in sensor.only()


def test_access_lists_can_be_filtered_and_a_document_without_one_is_not_public(
    promoted: Pipeline, archive: Path
) -> None:
    question = " ".join(words(("old", 1), 24)[3:8])
    for principal, found in (("staff", True), ("board", True), ("strangers", False)):
        hits = promoted.succeed("search", question, "--filter", f"access={principal}")
        assert ("old.md" in hits) is found
        assert "topic" not in hits, "a document without an access list is not public"


def test_a_changed_access_list_embeds_nothing(promoted: Pipeline, archive: Path) -> None:
    declared = promoted.home / "sources.yaml"
    declared.write_text(declared.read_text().replace("[staff, board]", "[board]"))
    run = promoted.refresh().checked()
    assert run.metadata["deduped_documents"]["num_updated"] == 2
    assert run.metadata["embeddings"]["num_embedded"] == 0
    question = " ".join(words(("old", 1), 24)[3:8])
    assert "old.md" not in promoted.succeed("search", question, "--filter", "access=staff")


def test_a_kept_version_is_hidden_from_people_who_may_not_read_its_document_now(
    promoted: Pipeline, archive: Path
) -> None:
    declared = promoted.home / "sources.yaml"
    declared.write_text(declared.read_text().replace("[staff, board]", "[board, everyone]"))
    promoted.write("old.md", b"", archive)
    run = promoted.refresh().checked()
    assert run.metadata["deduped_documents"]["num_quarantined"] == 1
    assert run.metadata["embeddings"]["num_embedded"] == 0
    question = " ".join(words(("old", 1), 24)[3:8])
    for principal, found in (("staff", False), ("board", True), ("everyone", False)):
        hits = promoted.succeed("search", question, "--filter", f"access={principal}")
        assert ("old.md" in hits) is found
        assert ("older.md" in hits) is (principal != "staff")
    assert promoted.refresh().checked().metadata["staging_collection"]["written"] is False
    assert promoted.problems_of_production() == ()
