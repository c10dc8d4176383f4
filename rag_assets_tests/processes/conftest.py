"""The initial state of the tests of this folder, made once per test process."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rag_assets_tests.processes.reader import Answer, ask_once
from rag_assets_tests.processes.refresh_process import refresh
from rag_assets_tests.processes.scene import Scene, change_documents, new_scene, text_about


@dataclass(frozen=True)
class Story:
    """The initial state of the tests with changed documents, and the state after an uninterrupted refresh.

    Attributes:
        old_answer: answer of production before this refresh.
        new_answer: answer of production after it.
    """

    before: Scene
    after: Scene
    old_answer: Answer
    new_answer: Answer


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(new_scene(tmp_path_factory.mktemp("story")))


@pytest.fixture(scope="session")
def story_with_all_indexes(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The same with all payload indexes in its generations: 184 MB each, copied for each test and by each refresh."""
    return tell(new_scene(tmp_path_factory.mktemp("story"), all_indexes=True))


def tell(before: Scene) -> Story:
    """Refresh three times, the last time in a copy."""
    refresh(before)
    (before.documents / "vacation.md").write_text(text_about("vacation", edition=2), encoding="utf-8")
    refresh(before)  # makes a previous generation: the next promotion retires it
    change_documents(before.documents)
    after = before.copy_to(before.home.with_name("uninterrupted"))
    refresh(after)
    return Story(before, after, ask_once(before), ask_once(after))


@pytest.fixture
def scene(story: Story, tmp_path: Path) -> Iterator[Scene]:
    copy = story.before.copy_to(tmp_path / "home")
    yield copy
    shutil.rmtree(copy.home, ignore_errors=True)
