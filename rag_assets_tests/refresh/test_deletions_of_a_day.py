"""Deletions of the last 24 hours count together, as a share of what production held at their beginning."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from rag_assets_tests.histories.kept_world import KeptWorld
from rag_assets_tests.histories.world import SOURCES, World
from rag_assets_tests.pipeline import token_in

NUM_DOCUMENTS = 40
"""Beside the two anchors."""


@pytest.fixture(scope="module")
def kept_world(tmp_path_factory: pytest.TempPathFactory) -> KeptWorld:
    world = World(tmp_path_factory.mktemp("world") / "home")
    for number in range(NUM_DOCUMENTS):
        world.write(SOURCES[number % 2], name_of(number), text_of(number))
    world.refresh().checked()
    return KeptWorld(world)


@pytest.fixture
def world(kept_world: KeptWorld) -> World:
    return kept_world.restored()


@pytest.fixture
def pass_hours(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock, also back."""
    hours = 0.0

    def move(by: float) -> None:
        nonlocal hours
        hours += by
        monkeypatch.setattr(
            "rag_assets.refresh.decision.clock", lambda: datetime.now(UTC) + timedelta(hours=hours)
        )

    return move


def name_of(number: int) -> str:
    return f"{number:02}.md"


def text_of(number: int) -> str:
    return f"text number {number} about {number * 7}"


def remove(world: World, numbers: Iterable[int]) -> None:
    for number in numbers:
        world.remove(SOURCES[number % 2], name_of(number))


def restore(world: World, numbers: Iterable[int]) -> None:
    for number in numbers:
        world.write(SOURCES[number % 2], name_of(number), text_of(number))


def test_small_steps_add_up(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    remove(world, range(10, 20))
    outcome = world.refresh()
    assert outcome.kind == "DeletionRefused"
    assert "refused to delete 10 of 32 documents (20 of 42 within 24 hours" in outcome.message


def test_a_lost_ledger_forgets_no_deletion(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    for part in ("ledger", "texts", "artifacts"):
        world.lose(part)
    remove(world, range(10, 20))
    assert world.refresh().kind == "DeletionRefused"


def test_a_rebuild_forgets_no_deletion(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    world.settings["chunk_size"] = 24
    remove(world, range(10, 20))
    assert world.refresh().kind == "DeletionRefused"


def test_other_changes_between_the_steps_forget_no_deletion(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    world.write("one", "new.md", "something new")
    world.refresh().checked()
    remove(world, range(10, 20))
    assert "20 of 42 within 24 hours" in world.refresh().message


def test_files_renamed_and_edited_count_in_small_steps_too(world: World) -> None:
    for number in range(30):
        remove(world, [number])
        world.write("one", f"renamed {number}.md", f"{text_of(number)}, edited")
        if number % 10 == 9:
            outcome = world.refresh()
            assert outcome.succeeded == (number < 10), outcome
    assert "of 42" in outcome.message


def test_files_renamed_and_edited_count_in_one_go(world: World) -> None:
    remove(world, range(30))
    for number in range(30):
        world.write("one", f"renamed {number}.md", f"{text_of(number)}, edited")
    assert "refused to delete 30 of 42 documents" in world.refresh().message


def test_after_a_day_the_count_begins_again(world: World, pass_hours: Callable[[float], None]) -> None:
    remove(world, range(10))
    world.refresh().checked()
    pass_hours(23.9)
    remove(world, range(10, 20))
    assert world.refresh().kind == "DeletionRefused"
    pass_hours(0.2)
    world.refresh().checked()


def test_a_clock_set_back_forgets_nothing(world: World, pass_hours: Callable[[float], None]) -> None:
    remove(world, range(10))
    world.refresh().checked()
    pass_hours(-1000)
    remove(world, range(10, 20))
    assert world.refresh().kind == "DeletionRefused"


def test_a_clock_that_ran_ahead_for_an_hour_forgets_nothing(
    world: World, pass_hours: Callable[[float], None]
) -> None:
    remove(world, range(10))
    world.refresh().checked()
    pass_hours(30)
    world.write("one", "new.md", "something new")
    world.refresh().checked()
    pass_hours(-29)
    remove(world, range(10, 20))
    assert world.refresh().kind == "DeletionRefused"


def test_files_that_returned_count_no_more(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    restore(world, range(10))
    world.refresh().checked()
    remove(world, range(10, 20))
    world.refresh().checked()


def test_contents_that_reappeared_elsewhere_later_count_no_more(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    for number in range(10):
        world.write("two", f"moved {number}.md", text_of(number))
    world.refresh().checked()
    remove(world, range(10, 20))
    world.refresh().checked()


def test_an_approval_begins_a_new_count(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    remove(world, range(10, 20))
    token = token_in(world.refresh().message)
    with world.knowledge_base() as knowledge_base:
        knowledge_base.ledger.approve(token)
    world.refresh().checked()
    remove(world, range(20, 30))
    world.refresh().checked()
    remove(world, range(30, 32))
    assert "12 of 22 within 24 hours" in world.refresh().message


def test_a_candidate_that_failed_its_gate_deleted_nothing(world: World) -> None:
    remove(world, range(10))
    assert world.refresh(eval_threshold=0.9).kind == "gate"
    restore(world, range(10))
    remove(world, range(10, 20))
    world.refresh().checked()


def damage_production(world: World) -> None:
    """Make the manifest of production unreadable, and the history of deletions in it."""
    production = world.production().production
    [manifest] = world.state_dir.glob(f"vector_store/**/{production}/manifest.json")
    manifest.write_text("{")


def approve(world: World, token: str) -> None:
    with world.knowledge_base() as knowledge_base:
        knowledge_base.ledger.approve(token)


@pytest.mark.parametrize("refreshes_since", [0, 6])
def test_a_damaged_manifest_forgets_no_deletion(world: World, refreshes_since: int) -> None:
    """Artifacts are kept of five refreshes."""
    remove(world, range(10))
    world.refresh().checked()
    for _ in range(refreshes_since):
        world.refresh().checked()
    damage_production(world)
    remove(world, range(10, 20))
    assert "20 of 42 within 24 hours" in world.refresh().message


def test_deletions_after_an_unknown_history_need_an_approval(world: World) -> None:
    remove(world, range(10))
    world.refresh().checked()
    damage_production(world)
    world.lose("artifacts")
    remove(world, [10])
    outcome = world.refresh()
    assert outcome.kind == "DeletionRefused"
    assert (
        "refused to delete 1 of 32 documents (the deletions of the last 24 hours are unknown"
        in outcome.message
    )
    approve(world, token_in(outcome.message))
    world.refresh().checked()
    remove(world, [11])
    world.refresh().checked()


def test_an_unknown_history_stays_unknown_for_a_day(
    world: World, pass_hours: Callable[[float], None]
) -> None:
    remove(world, range(10))
    world.refresh().checked()
    damage_production(world)
    world.lose("artifacts")
    world.refresh().checked()
    remove(world, range(10, 20))
    pass_hours(23.9)
    assert "deletions of the last 24 hours are unknown" in world.refresh().message
    pass_hours(0.2)
    world.refresh().checked()
