"""The contract of every source."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.parsers import parse_document
from rag_assets.records import SourceEntry
from rag_assets.sources.base import FailsInParts, Source, SourceOptions
from rag_assets.sources.declarations import build_sources
from rag_assets.sources.registry import SOURCES
from rag_assets_tests.sources.scenes import SCENES
from rag_assets_tests.sources.scenes.base import Failure, SourceScene
from rag_assets_tests.sources.small_refresh import SmallRefresh

NAMES = ("a", "b", "c", "d", "e")
_PATIENCE_SECONDS = 60


def text_of(name: str, edition: int = 1) -> str:
    return f"The entry about {name * 5} in its edition {edition} tells what there is to tell of {name * 5}."


@pytest.fixture(params=sorted(SCENES))
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SourceScene]:
    scene = SCENES[request.param](tmp_path)
    for name in NAMES:
        scene.put(name, text_of(name))
    yield scene
    scene.close()


def source_of(scene: SourceScene, tmp_path: Path, **options: object) -> Source:
    import yaml

    path = tmp_path / "declared.yaml"
    path.write_text(
        yaml.safe_dump({"sources": {"wiki-1": {**scene.declaration(), **options}}}), encoding="utf-8"
    )
    (source,) = build_sources((), path, {})
    return source


def read_all(source: Source, known: dict[str, str] | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """List and read like a refresh. Return the text of each document read, and the token of each listed one."""
    texts: dict[str, str] = {}
    tokens: dict[str, str] = {}
    for entry in list(source.list_entries()):
        before = (known or {}).get(entry.document_id, "")
        tokens[entry.document_id] = entry.version_token or before
        if entry.version_token and entry.version_token == before:
            continue
        reading = source.read(entry, before)
        if reading is None:
            assert before, "only what is known can be unchanged"
            continue
        tokens[entry.document_id] = reading.version_token or entry.version_token
        texts[entry.document_id] = parse_document(reading.data, reading.filename or entry.filename).text
    return texts, tokens


def impatience(how: Failure) -> dict[str, object]:
    """Return the options for an outage: against silence a short limit, which a slow machine may exceed while listing."""
    return {"timeout_seconds": 0.2} if how == "hang" else {}


def listed_at_last(source: Source) -> list[SourceEntry]:
    """List until it succeeds: a source recovers by itself."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return list(source.list_entries())
        except SourceUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_every_kind_has_a_scene() -> None:
    assert set(SCENES) == set(SOURCES)


def test_every_option_is_described() -> None:
    for kind, source in SOURCES.items():
        assert issubclass(source.Options, SourceOptions)
        for name, field in source.Options.model_fields.items():
            assert field.description, f"{kind}: {name}"


def test_every_document_is_listed_once_and_read(scene: SourceScene, tmp_path: Path) -> None:
    source = source_of(scene, tmp_path)
    entries = list(source.list_entries())
    assert len({entry.document_id for entry in entries}) == len(entries) == len(NAMES)
    for entry in entries:
        assert isinstance(entry, SourceEntry)
        assert entry.source == source.name == "wiki-1"
        assert entry.document_id == f"wiki-1:{entry.path}"
        assert entry.uri
        assert entry.filename
    texts, _ = read_all(source)
    for name in NAMES:
        (text,) = [text for document_id, text in texts.items() if name * 5 in text]
        assert text_of(name) in " ".join(text.split())


@pytest.mark.slow
def test_unchanged_documents_are_not_transferred_again(scene: SourceScene, tmp_path: Path) -> None:
    _, tokens = read_all(source_of(scene, tmp_path))
    transferred = scene.num_bodies
    texts, again = read_all(source_of(scene, tmp_path), tokens)
    assert texts == {}
    assert again == tokens
    assert scene.num_bodies == transferred


def test_only_what_changed_is_read(scene: SourceScene, tmp_path: Path) -> None:
    _, tokens = read_all(source_of(scene, tmp_path))
    scene.put("b", text_of("b", edition=2))
    scene.put("f", text_of("f"))
    scene.remove("d")
    texts, again = read_all(source_of(scene, tmp_path), tokens)
    assert len(texts) == 2
    assert {"edition 2" in text for text in texts.values()} == {True, False}
    assert len(set(again) - set(tokens)) == len(set(tokens) - set(again)) == 1


def test_one_text_in_place_of_all_documents_is_an_outage(scene: SourceScene, tmp_path: Path) -> None:
    refresh = SmallRefresh(tmp_path)
    refresh(source_of(scene, tmp_path))
    before = dict(refresh.production)
    for name in NAMES[:4]:
        scene.put(name, "Please log in to read this entry of the knowledge base.")
    scene.put("e", text_of("e", edition=2))
    outcome = refresh(source_of(scene, tmp_path))
    assert list(outcome.changes.values()) == ["updated"]
    assert "4 of 5 documents" in outcome.problem
    assert len(dict(before.items() & refresh.production.items())) == 4
    admitted = refresh(source_of(scene, tmp_path), approved=outcome.tokens)
    assert (admitted.problem, set(admitted.changes.values())) == ("", {"updated"})


@pytest.mark.parametrize("how", ["refused", "forbidden", "error", "hang", "torn listing"])
def test_an_outage_is_reported_in_time(scene: SourceScene, tmp_path: Path, how: Failure) -> None:
    if how not in scene.failures:
        pytest.skip(f"{scene.kind} cannot fail in this way")
    source = source_of(scene, tmp_path, **impatience(how))
    with scene.failing(how):
        outcome: list[object] = []

        def attempt() -> None:
            try:
                outcome.append(list(source.list_entries()))
            except SourceUnavailable as error:
                outcome.append(error)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(_PATIENCE_SECONDS)
        assert outcome, "it neither listed nor gave up"
    (error,) = outcome
    if isinstance(source, FailsInParts) and not isinstance(error, SourceUnavailable):
        assert list(source.outages()), "it listed what is not there"
    else:
        assert isinstance(error, SourceUnavailable), "it listed what is not there"
        assert "wiki-1" in str(error)
    # The same object recovers.
    assert len(listed_at_last(source)) == len(NAMES)


@pytest.mark.parametrize("how", ["refused", "forbidden", "error", "hang"])
def test_reading_during_an_outage_ends_in_time(scene: SourceScene, tmp_path: Path, how: Failure) -> None:
    # A source that loads while it lists has no need of the other side any more.
    if how not in getattr(scene, "failures_of_reading", scene.failures):
        pytest.skip(f"{scene.kind} cannot fail in this way")
    source = source_of(scene, tmp_path, **impatience(how))
    entry = listed_at_last(source)[0]
    outcome: list[Exception] = []

    def attempt() -> None:
        try:
            source.read(entry)
        except (DocumentUnreadable, SourceUnavailable) as error:
            outcome.append(error)

    with scene.failing(how):
        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(_PATIENCE_SECONDS)
    assert outcome, "it neither failed nor gave up"


def test_the_default_access_is_an_option_of_every_source(scene: SourceScene, tmp_path: Path) -> None:
    assert source_of(scene, tmp_path, access=["staff"]).options.access == ("staff",)


def test_a_changed_default_access_is_seen_by_the_next_refresh(scene: SourceScene, tmp_path: Path) -> None:
    refresh = SmallRefresh(tmp_path)
    own_lists = {"read_access": False} if scene.kind == "confluence" else {}
    refresh(source_of(scene, tmp_path, access=["staff", "board"], **own_lists))
    transferred = scene.num_bodies
    outcome = refresh(source_of(scene, tmp_path, access=["board"], **own_lists))
    assert set(outcome.changes.values()) == {"updated"}
    assert {state.location.access for state in refresh.production.values()} == {("board",)}
    assert (scene.num_bodies, outcome.num_parsed) == (transferred, 0)
