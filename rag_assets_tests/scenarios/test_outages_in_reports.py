"""`trace` and `doctor` know the failed parts of a source, with the token of `status` and `plan`."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rag_assets_tests.pipeline import Pipeline, text_about, token_in

NUM_PAGES = 11


@pytest.fixture
def with_folder(promoted: Pipeline) -> Pipeline:
    """A pipeline with a folder of 11 documents."""
    for number in range(NUM_PAGES):
        promoted.write(f"hr/page{number:02}.md", text_about(f"page {number}"))
    promoted.refresh().checked()
    return promoted


@pytest.fixture
def locked(with_folder: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The folder may not be read any more."""
    opened = os.open

    def refuses(path: Any, *args: Any, **kwargs: Any) -> int:
        if Path(str(path)).name == "hr":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuses)
    return with_folder


def empty_the_folder(pipeline: Pipeline) -> None:
    for number in range(NUM_PAGES):
        pipeline.remove(f"hr/page{number:02}.md")


def explanation(pipeline: Pipeline, name: str) -> str:
    report = pipeline.json("trace", name, "--json")
    assert report["outcome"] == "served"
    return "; ".join(report["explanation"])


def failed_sources(pipeline: Pipeline) -> str:
    """Return the finding of `doctor` about the sources, which has failed."""
    code, output, _ = pipeline.command("doctor")
    [line] = [line for line in output.splitlines() if line[6:].startswith("sources:")]
    assert (code, line[:4]) == (1, "FAIL"), output
    return line


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_folder_that_cannot_be_read(locked: Pipeline, refreshed: bool) -> None:
    if refreshed:
        locked.refresh().checked()
    token = token_in(locked.succeed("plan"))
    said = explanation(locked, "hr/page03.md")
    assert "hr/: Permission denied" in said
    assert token_in(said) == token
    assert "deletes it" not in said
    assert locked.json("trace", "hr/page03.md", "--json")["source"]["outage"] == {
        "place": "hr/",
        "problem": "Permission denied",
        "token": token,
    }
    finding = failed_sources(locked)
    assert "hr/: Permission denied. 11 documents kept." in finding
    assert token_in(finding) == token
    assert "outage" not in explanation(locked, "topic01.md")


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_folder_gone_to_nothing(with_folder: Pipeline, refreshed: bool) -> None:
    empty_the_folder(with_folder)
    if refreshed:
        with_folder.refresh().checked()
    token = token_in(with_folder.succeed("plan"))
    said = explanation(with_folder, "hr/page03.md")
    assert "hr/: none of 11 documents is left" in said
    assert token_in(said) == token
    assert token_in(failed_sources(with_folder)) == token


def test_a_folder_whose_documents_have_moved_is_no_outage(with_folder: Pipeline) -> None:
    (with_folder.documents / "hr").rename(with_folder.documents / "people")
    with_folder.refresh().checked()
    assert "ok    sources:" in with_folder.succeed("doctor")


def test_one_text_in_place_of_a_folder(with_folder: Pipeline) -> None:
    for number in range(NUM_PAGES):
        with_folder.write(f"hr/page{number:02}.md", "Please log in.")
    with_folder.refresh().checked()
    token = token_in(with_folder.succeed("status"))
    said = explanation(with_folder, "hr/page03.md")
    assert "11 of 11 documents became the same page or text" in said
    assert token_in(said) == token
    assert token_in(failed_sources(with_folder)) == token
    with_folder.succeed("approve", token)
    with_folder.refresh().checked()
    assert "outage" not in explanation(with_folder, "hr/page03.md")
    assert "ok    sources:" in with_folder.succeed("doctor")


def test_doctor_lists_the_other_sources_when_one_is_down(promoted: Pipeline) -> None:
    declared = promoted.home / "sources.yaml"
    declared.write_text(
        f"sources:\n  archive:\n    kind: filesystem\n    folder: {promoted.home / 'nowhere'}\n"
    )
    promoted.configure(RAG_SOURCES="archive,filesystem", RAG_SOURCES_FILE=str(declared))
    finding = failed_sources(promoted)
    assert "source archive: the documents folder" in finding
    assert "filesystem lists 20 documents" in finding


def test_a_refused_deletion_is_no_deletion_yet(promoted: Pipeline) -> None:
    promoted.remove(*(f"topic{number:02}.md" for number in range(8, 20)))
    token = token_in(promoted.refresh().message)
    said = explanation(promoted, "topic10.md")
    assert "the deletion of 12 of 20 documents" in said
    assert token_in(said) == token
