"""An approval names a refused set, and ends with its refresh, with a failed gate, and when the files return."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from rag_assets.cli.production import approve
from rag_assets.errors import RagAssetsError
from rag_assets_tests.histories.kept_world import KeptWorld
from rag_assets_tests.histories.world import World
from rag_assets_tests.pipeline import token_in

NUM_DOCUMENTS = 40


@pytest.fixture(scope="module")
def kept_world(tmp_path_factory: pytest.TempPathFactory) -> KeptWorld:
    world = World(tmp_path_factory.mktemp("world") / "home")
    fill(world, range(NUM_DOCUMENTS))
    world.refresh().checked()
    return KeptWorld(world)


@pytest.fixture
def world(kept_world: KeptWorld) -> World:
    return kept_world.restored()


def fill(world: World, numbers: Iterable[int]) -> None:
    for number in numbers:
        world.write("one", f"{number:02}.md", f"text number {number}")


def remove(world: World, numbers: Iterable[int]) -> None:
    for number in numbers:
        world.remove("one", f"{number:02}.md")


def refused(world: World, numbers: Iterable[int] = range(20)) -> str:
    """Remove documents, and return the token of the refusal."""
    remove(world, numbers)
    outcome = world.refresh()
    assert outcome.kind == "DeletionRefused", outcome
    return token_in(outcome.message)


def approve_token(world: World, token: str) -> None:
    with world.knowledge_base() as knowledge_base:
        approve(knowledge_base, argparse.Namespace(token=token, by=None, reason=None))


def approved(world: World) -> frozenset[str]:
    with world.knowledge_base() as knowledge_base:
        return knowledge_base.ledger.approved_tokens()


def test_an_approval_names_the_refused_set(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    approve_token(world, refused(world))
    said = capsys.readouterr().out
    assert "the deletion of 20 of 42 documents" in said
    assert "source one" in said
    assert "one:00.md, one:01.md" in said
    assert "refused on 20" in said
    world.refresh().checked()


def test_an_approval_names_the_documents_kept_in_an_outage(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.remove("two", "ground.md")
    world.refresh().checked()
    with world.knowledge_base() as knowledge_base:
        [token] = knowledge_base.ledger.refusals()
    approve_token(world, token)
    said = capsys.readouterr().out
    assert "the loss of 1 document (source two, the whole source: none of 1 document is left)" in said
    world.refresh().checked()
    assert approved(world) == frozenset()
    with world.knowledge_base() as knowledge_base:
        assert knowledge_base.ledger.refusals() == {}


def test_a_used_approval_ends_with_its_refresh(world: World) -> None:
    approve_token(world, refused(world))
    world.refresh().checked()
    assert approved(world) == frozenset()


def test_an_approval_ends_with_a_failed_gate(world: World) -> None:
    token = refused(world)
    for ignoring_gate in (False, True):
        approve_token(world, token)
        assert not world.refresh(eval_threshold=0.9, ignoring_gate=ignoring_gate).succeeded
        assert approved(world) == frozenset()
        assert token_in(world.refresh().message) == token


def test_an_approval_ends_when_the_files_return(world: World) -> None:
    token = refused(world)
    approve_token(world, token)
    fill(world, range(20))
    world.refresh().checked()
    assert refused(world) == token


def test_an_approval_ends_when_a_vanished_source_returns(world: World) -> None:
    world.remove("two", "ground.md")
    world.refresh().checked()
    with world.knowledge_base() as knowledge_base:
        [token] = knowledge_base.ledger.refusals()
    approve_token(world, token)
    world.write("two", "ground.md", "the ground below")
    world.refresh().checked()
    assert approved(world) == frozenset()


def test_an_approval_waits_while_its_source_cannot_be_read(world: World) -> None:
    token = refused(world)
    approve_token(world, token)
    aside = world.home / "aside"
    world.path("one", "").rename(aside)
    world.refresh().checked()
    aside.rename(world.path("one", ""))
    assert approved(world) == {token}
    world.refresh().checked()


def test_an_approval_survives_a_refresh_that_began_before_it(world: World) -> None:
    token = refused(world)
    fill(world, range(20))
    world.write("one", "new.md", "something new")

    @contextmanager
    def around(step: str) -> Iterator[None]:
        if step == "staging_collection":
            with world.knowledge_base() as knowledge_base:
                knowledge_base.ledger.put_refusals([refusal])
            approve_token(world, token)
        yield

    with world.knowledge_base() as knowledge_base:
        refusal = knowledge_base.ledger.refusals()[token]
    world.refresh(around=around).checked()
    assert approved(world) == {token}


def test_an_approval_survives_a_killed_refresh(world: World) -> None:
    token = refused(world)
    approve_token(world, token)
    assert world.refresh(until="embeddings").kind == "killed"
    assert approved(world) == {token}
    world.refresh().checked()


def test_an_unknown_token_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_assets.inspection.pending_refusals.pending_refusals", lambda settings: {})
    token = refused(world)
    with pytest.raises(RagAssetsError, match="no refusal has the token 0123456789abcdef"):
        approve_token(world, "0123456789abcdef")
    world.lose("ledger")
    with pytest.raises(RagAssetsError, match=f"no refusal has the token {token}"):
        approve_token(world, token)
    assert approved(world) == frozenset()


def test_a_used_token_is_unknown_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_assets.inspection.pending_refusals.pending_refusals", lambda settings: {})
    token = refused(world)
    approve_token(world, token)
    world.refresh().checked()
    with pytest.raises(RagAssetsError, match="no refusal has the token"):
        approve_token(world, token)
