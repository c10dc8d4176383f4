"""Kill a refresh anywhere, run it again: production answers throughout and ends as an uninterrupted refresh ends it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rag_assets_tests.processes.kill_points import KILL_POINTS
from rag_assets_tests.processes.reader import Answer, Reader, ask_once
from rag_assets_tests.processes.refresh_process import refresh, refresh_until_killed
from rag_assets_tests.processes.scene import (
    Scene,
    change_documents,
    new_scene,
    points_in_production,
    text_about,
)


@dataclass(frozen=True)
class Story:
    """Where every test of this module begins, and where an uninterrupted refresh leads from there."""

    before: Scene
    after: Scene
    old_answer: Answer
    new_answer: Answer


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("killed")
    before = new_scene(folder)
    refresh(before)
    (before.documents / "vacation.md").write_text(text_about("vacation", edition=2), encoding="utf-8")
    refresh(before)  # so that there is a previous generation, which the next promotion retires
    change_documents(before.documents)
    after = before.copy_to(folder / "uninterrupted")
    refresh(after)
    return Story(before, after, ask_once(before), ask_once(after))


@pytest.fixture
def scene(story: Story, tmp_path: Path) -> Iterator[Scene]:
    copy = story.before.copy_to(tmp_path / "home")
    yield copy
    shutil.rmtree(copy.home, ignore_errors=True)


def assert_same_end(scene: Scene, uninterrupted: Scene) -> None:
    found, expected = points_in_production(scene), points_in_production(uninterrupted)
    assert found.keys() == expected.keys()
    for point_id, (payload, vector) in expected.items():
        assert found[point_id][0] == payload
        np.testing.assert_allclose(found[point_id][1], vector, atol=1e-6)
    knowledge_base, other = scene.knowledge_base(), uninterrupted.knowledge_base()
    try:
        state = knowledge_base.vector_store.production_state()
        assert state.held is None
        folders = {path.name for path in scene.state_dir.glob("vector_store/*/generations/*")}
        assert folders == {state.production, state.previous}
        previous = other.vector_store.production_state().previous
        assert state.previous == previous, "the way back leads to what served before"
        assert state.production is not None
        expected_documents = other.documents_of(other.vector_store.production_state().production)
        assert knowledge_base.ledger.documents(state.production) == expected_documents
    finally:
        knowledge_base.close()
        other.close()
    assert not list(scene.state_dir.glob("artifacts/*/*/.staging-*"))


def assert_served_throughout(reader: Reader, story: Story) -> None:
    assert reader.problem == ""
    assert reader.answers == [story.old_answer, story.new_answer], "old, then new, and nothing between"


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_refresh_killed(point: str, scene: Scene, story: Story) -> None:
    with Reader(scene) as reader:
        refresh_until_killed(scene, point)
        refresh(scene)
    assert_served_throughout(reader, story)
    assert_same_end(scene, story.after)


def test_a_refresh_killed_again_and_again(scene: Scene, story: Story) -> None:
    with Reader(scene) as reader:
        for point in ("in the middle of staging", "before the seal is published", "at the end of eval_report"):
            refresh_until_killed(scene, point)
        refresh_until_killed(scene, "after the promotion")
        refresh(scene)
    assert_served_throughout(reader, story)
    assert_same_end(scene, story.after)
