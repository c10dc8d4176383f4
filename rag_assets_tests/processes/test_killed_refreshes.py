"""A refresh is killed at any point and run again. Production answers throughout, and ends as after an uninterrupted refresh."""

from pathlib import Path

import pytest

from rag_assets_tests.processes.conftest import Story
from rag_assets_tests.processes.kill_points import KILL_POINTS
from rag_assets_tests.processes.reader import Reader
from rag_assets_tests.processes.refresh_process import refresh, refresh_until_killed
from rag_assets_tests.processes.scene import Scene, assert_same_end


def assert_served_throughout(reader: Reader, story: Story) -> None:
    assert reader.problem == ""
    assert reader.answers == [story.old_answer, story.new_answer], "old answers, then new ones, and no others"


# Only Dagster's log differs between the end of a step and the start of the next. Most starts are next to another point.
IN_EVERY_RUN = ("at the start of deduped_documents", "at the start of embeddings")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(
            point, marks=pytest.mark.soak if point.startswith("at the ") and point not in IN_EVERY_RUN else ()
        )
        for point in KILL_POINTS
    ],
)
def test_a_refresh_is_completed_after_a_kill(point: str, scene: Scene, story: Story) -> None:
    with Reader(scene) as reader:
        refresh_until_killed(scene, point)
        refresh(scene)
    assert_served_throughout(reader, story)
    assert_same_end(scene, story.after)


def test_a_refresh_is_completed_after_several_kills(story_with_all_indexes: Story, tmp_path: Path) -> None:
    story = story_with_all_indexes
    scene = story.before.copy_to(tmp_path / "home")
    with Reader(scene) as reader:
        for point in (
            "in the middle of staging",
            "before the seal is published",
            "at the end of eval_report",
        ):
            refresh_until_killed(scene, point)
        refresh_until_killed(scene, "after the promotion")
        refresh(scene)
    assert_served_throughout(reader, story)
    assert_same_end(scene, story.after)
