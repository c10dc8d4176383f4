import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.errors import ConfigurationError, RefusedError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.operations import decisions
from rag_assets.settings import load_settings
from rag_assets_tests.vector_stores.samples import names, point, stage


@pytest.fixture
def knowledge_base(
    tmp_path: Path, one_index: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KnowledgeBase]:
    """Production is g2, and before it was g1."""
    monkeypatch.chdir(tmp_path)
    found = KnowledgeBase(load_settings(state_dir=str(tmp_path / "state")))
    for name in ("g1", "g2"):
        stage(found.vector_store, name, [point(1)])
    found.vector_store.promote("g1", None)
    found.vector_store.promote("g2", "g1")
    yield found
    found.close()


def test_a_reason_is_one_line_without_control_characters(knowledge_base: KnowledgeBase) -> None:
    state = decisions.roll_back(knowledge_base, by=" ana\t", reason="\x1b[31mprices\r\n  are wrong\u202e ")
    assert state.hold is not None
    assert (state.hold.by, state.hold.reason) == ("ana", "[31mprices are wrong")


@pytest.mark.parametrize(("by", "reason"), [("a" * 101, ""), ("ana", "why " * 126)], ids=["name", "reason"])
def test_a_text_that_is_too_long_changes_nothing(knowledge_base: KnowledgeBase, by: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="shorten it"):
        decisions.roll_back(knowledge_base, by=by, reason=reason)
    assert names(knowledge_base.vector_store.production_state()) == ("g2", "g1", None)


def test_the_longest_reason_is_kept_whole(knowledge_base: KnowledgeBase) -> None:
    state = decisions.roll_back(knowledge_base, by="é" * 100, reason="é" * 500)
    assert state.hold is not None
    assert (len(state.hold.by), len(state.hold.reason)) == (100, 500)


def test_a_hold_that_was_not_there_is_not_recorded(knowledge_base: KnowledgeBase) -> None:
    hold, state = decisions.resume(knowledge_base, by="ana", reason="")
    assert (hold, state.production) == (None, "g2")
    assert not (knowledge_base.failures.folder / "decisions.jsonl").exists()


@pytest.mark.parametrize(
    ("token", "kind"), [("rebuild", ConfigurationError), ("0123456789abcdef", RefusedError)]
)
def test_a_mistyped_token_approves_nothing(
    knowledge_base: KnowledgeBase, token: str, kind: type[Exception], tmp_path: Path
) -> None:
    (tmp_path / "data" / "documents").mkdir(parents=True)
    with pytest.raises(kind):
        decisions.approve(knowledge_base, token, by="ana", reason="")
    assert knowledge_base.ledger.approved_tokens() == frozenset()
    assert not (knowledge_base.failures.folder / "decisions.jsonl").exists()


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert decisions.current_user() == ""
