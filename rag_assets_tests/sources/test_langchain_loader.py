"""Documents of a loader, and failing loaders."""

import gc
import math
import os
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import ConfigurationError, DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.sources.declarations import build_sources
from rag_assets.sources.langchain_loader import LangchainOptions, LangchainSource
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.small_refresh import SmallRefresh

LOADERS = "rag_assets_tests.sources.loaders"


@pytest.fixture(scope="module", autouse=True)
def _langchain_is_installed() -> None:
    require("langchain_core")


def source_of(*documents: tuple[Any, dict[str, Any]], **options: Any) -> LangchainSource:
    declared = {"loader": f"{LOADERS}.ListLoader", "arguments": {"documents": list(documents)}, **options}
    return LangchainSource("loaded", LangchainOptions(**declared))


def texts_of(source: LangchainSource) -> dict[str, str]:
    texts: dict[str, str] = {}
    for entry in list(source.list_entries()):
        reading = source.read(entry)
        assert reading is not None
        texts[entry.path] = reading.data.decode()
    return texts


def problem_of(source: LangchainSource) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        list(source.list_entries())
    return str(caught.value)


def test_documents_of_one_file_are_identified_by_page_row_or_id() -> None:
    source = source_of(
        ("1", {"source": "a.pdf", "page": 0}),
        ("2", {"source": "a.pdf", "page": 1}),
        ("3", {"source": "b.csv", "row": 7}),
        ("4", {"source": "wiki", "id": "x/y"}),
    )
    assert texts_of(source) == {
        "a.pdf#page=0": "1",
        "a.pdf#page=1": "2",
        "b.csv#row=7": "3",
        "wiki#id=x/y": "4",
    }


def test_documents_with_equal_metadata_are_numbered_in_order() -> None:
    source = source_of(
        ("1", {"source": "a"}), ("2", {"source": "a"}), ("3", {"source": "a#2"}), ("4", {}), ("5", {})
    )
    assert texts_of(source) == {"a": "1", "a#2": "2", "a#2#2": "3", "ListLoader": "4", "ListLoader#2": "5"}


def test_every_document_has_its_own_uri() -> None:
    source = source_of(
        ("1", {"source": "https://example.com/a", "page": 1}),
        ("2", {"source": "https://example.com/a", "page": 2}),
        ("3", {"source": "/srv/a b.txt"}),
        ("4", {"source": "a b"}),
        ("5", {"source": "a b"}),
    )
    assert [entry.uri for entry in source.list_entries()] == [
        "https://example.com/a#page%3D1",
        "https://example.com/a#page%3D2",
        "file:///srv/a%20b.txt",
        "langchain:loaded/a%20b",
        "langchain:loaded/a%20b#2",
    ]


def test_no_login_appears_in_an_entry() -> None:
    (entry,) = source_of(("1", {"source": "https://me:secret@example.com/a"})).list_entries()
    assert "secret" not in repr(entry)
    assert entry.uri == "https://example.com/a"


def test_text_and_title_make_the_version() -> None:
    tokens = [
        next(
            iter(source_of((text, {"source": "a", "title": title, "when": when})).list_entries())
        ).version_token
        for text, title, when in [("1", "x", 1), ("1", "x", 2), ("2", "x", 1), ("1", "y", 1)]
    ]
    assert tokens[0] == tokens[1]
    assert len(set(tokens)) == 3


def test_the_format_selects_the_parser_independent_of_the_filename() -> None:
    source = source_of(("# text", {"source": "a.pdf", "title": "T"}), format="markdown")
    (entry,) = list(source.list_entries())
    reading = source.read(entry)
    assert reading is not None
    assert (entry.filename, reading.filename, reading.title) == ("a.pdf", "text.md", "T")


def test_a_loader_with_only_load_works_too() -> None:
    assert texts_of(source_of(loader=f"{LOADERS}.OldLoader", arguments={})) == {"old": "text"}


def test_a_loader_of_langchain_itself() -> None:
    source = source_of(loader="langchain_core.document_loaders.LangSmithLoader", arguments={"bad": 1})
    assert "LangSmithLoader failed with " in problem_of(source)


def test_a_lone_surrogate_does_not_end_the_listing() -> None:
    assert texts_of(source_of(("a \udc80 b", {"source": "a"}))) == {"a": "a ? b"}


def test_a_text_over_the_limit_affects_only_itself() -> None:
    source = source_of(("long" * 100, {"source": "a"}), ("short", {"source": "b"}), max_bytes=100)
    first, second = list(source.list_entries())
    with pytest.raises(DocumentUnreadable) as caught:
        source.read(first)
    assert caught.value.reason == "too_large"
    assert source.read(second) is not None


def test_a_document_no_longer_loaded_is_gone() -> None:
    documents: list[Any] = [("1", {"source": "a"})]
    source = LangchainSource(
        "loaded", LangchainOptions(loader=f"{LOADERS}.ListLoader", arguments={"documents": documents})
    )
    (entry,) = list(source.list_entries())
    source.options.arguments["documents"].clear()
    assert list(source.list_entries()) == []
    with pytest.raises(DocumentGone):
        source.read(entry)


def open_files_in(folder: Path) -> int:
    paths = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return sum(path.startswith(f"{folder}/") for path in paths)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted as Linux shows them")
def test_texts_leave_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = source_of(("a text", {"source": "a"}))
    texts_of(source)
    assert list(tmp_path.iterdir()) == []
    assert open_files_in(tmp_path) == 1
    del source
    gc.collect()
    assert open_files_in(tmp_path) == 0


# What goes wrong


@pytest.mark.parametrize(
    "error", [ValueError("a secret"), SystemExit("a secret"), TimeoutError(), TimeoutError("a secret")]
)
def test_an_error_of_the_loader_is_named_and_not_quoted(error: BaseException) -> None:
    source = source_of(("1", {"source": "a"}), (error, {}))
    problem = problem_of(source)
    assert "ListLoader failed with " in problem
    assert "secret" not in problem


def test_a_time_limit_below_a_second_is_reported_exactly() -> None:
    never = threading.Event()

    def hang() -> Iterator[Any]:
        never.wait()
        yield from ()

    source = source_of(arguments={"documents": hang()}, timeout_seconds=0.2)
    assert "ListLoader loaded nothing for 0.2 s" in problem_of(source)
    never.set()


@pytest.mark.parametrize("option", [{"silent_errors": True}, {"silent_errors": "true"}, {}])
def test_a_failure_that_is_only_logged_makes_the_listing_incomplete(option: dict[str, Any]) -> None:
    documents = [("one", {"source": "a"}), (ValueError("secret"), {"source": "b"}), ("two", {"source": "c"})]
    source = source_of(loader=f"{LOADERS}.ForgivingLoader", arguments={"documents": documents, **option})
    listed: list[str] = []
    if not option:  # a warning may mean anything then
        assert len(list(source.list_entries())) == 2
        return
    with pytest.raises(SourceUnavailable, match="silent_errors") as caught:
        listed.extend(entry.path for entry in source.list_entries())
    assert listed == ["a", "c"]
    assert "secret" not in str(caught.value)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        source_of(loader="no_such_package.document_loaders.TextLoader")
    assert "pip install no-such-package" in str(caught.value)
    assert "no_such_package.document_loaders.TextLoader" in str(caught.value)


def test_a_package_missing_for_the_loader_is_named() -> None:
    missing = ModuleNotFoundError("No module named 'pypdf'", name="pypdf")
    assert "the Python package pypdf is not installed" in problem_of(source_of((missing, {})))


@pytest.mark.parametrize(
    "name",
    [
        f"{LOADERS}.NoLoader",
        f"{LOADERS}.not_a_class",
        f"{LOADERS}.missing",
        "rag_assets_tests.sources.loaders",
    ],
)
def test_only_a_loader_is_called(name: str) -> None:
    assert "is not a document loader" in problem_of(source_of(loader=name))


@pytest.mark.parametrize("name", ["TextLoader", "a.b c", "a..b", ".a.b", "os.system('x')", "a.b; c", "a/b.c"])
def test_only_a_dotted_name_is_imported(name: str) -> None:
    with pytest.raises(ValidationError):
        source_of(loader=name)


def test_arguments_are_not_shown() -> None:
    assert "secret" not in repr(source_of(arguments={"documents": [], "api_key": "secret"}).options)


def test_a_variable_may_hold_the_arguments_as_json() -> None:
    environment = {
        "RAG_LANGCHAIN_LOADER": f"{LOADERS}.ListLoader",
        "RAG_LANGCHAIN_ARGUMENTS": '{"documents": [["text", {"source": "a"}]]}',
    }
    (source,) = build_sources(["langchain"], None, environment)
    assert [entry.path for entry in source.list_entries()] == ["a"]
    with pytest.raises(ConfigurationError) as caught:
        build_sources(["langchain"], None, {**environment, "RAG_LANGCHAIN_ARGUMENTS": "{secret"})
    assert "RAG_LANGCHAIN_ARGUMENTS" in str(caught.value)
    assert "secret" not in str(caught.value)


# Metadata


def metadata_of(metadata: dict[Any, Any], **options: Any) -> Metadata:
    (entry,) = source_of(("text", metadata), **options).list_entries()
    return entry.metadata


def test_metadata_without_the_address_and_the_title() -> None:
    metadata = metadata_of(
        {
            "source": "/srv/a.pdf",
            "file_path": "/srv/a.pdf",
            "title": "T",
            "page": 3,
            "total_pages": 12,
            "creationDate": datetime(2024, 1, 31, tzinfo=UTC),
            "languages": ["de", "en"],
            "is_draft": False,
            "coordinates": {"system": "pixels", "points": [[1, 2]]},
        }
    )
    assert dict(metadata) == {
        "page": 3,
        "total_pages": 12,
        "creation_date": "2024-01-31T00:00:00Z",
        "languages": ("de", "en"),
        "is_draft": False,
        "coordinates_system": "pixels",
    }
    assert metadata.left_out == ("not usable: coordinates_points",)


def test_each_document_of_a_file_has_its_own_metadata() -> None:
    source = source_of(
        ("1", {"source": "a.csv", "row": 0, "color": "red"}), ("2", {"source": "a.csv", "row": 1})
    )
    assert [dict(entry.metadata) for entry in source.list_entries()] == [
        {"row": 0, "color": "red"},
        {"row": 1},
    ]


def test_hostile_metadata_harm_nothing() -> None:
    endless: dict[Any, Any] = {"source": "a", "year": 2024}
    endless["endless"] = endless
    hostile = {
        **endless,
        "long": "x" * 1_000_000,
        "nan": math.nan,
        7: 7,
        None: 1,
        "object": object(),
        "bytes": b"x",
    }
    hostile.update({f"key {number}": number for number in range(10_000)})
    metadata = metadata_of(hostile)
    assert metadata["year"] == 2024
    assert len(str(metadata.to_json())) < 5000
    assert metadata.left_out


def test_secrets_in_metadata_are_not_kept() -> None:
    metadata = metadata_of(
        {
            "source": "https://host/a?X-Amz-Signature=abc",
            "url": "https://host/a?X-Amz-Signature=abc",
            "thumbnail": "https://host/a.png?nonce=abc&size=2",
            "login": "https://me:abc@host/a",
            "api_key": "abc",
        },
        signature_parameters=["nonce"],
    )
    assert "abc" not in str(metadata.to_json())
    assert metadata["thumbnail"] == "https://host/a.png?size=2"


def test_changed_metadata_change_the_payload_alone(tmp_path: Path) -> None:
    refresh = SmallRefresh(tmp_path)
    refresh(source_of(("text", {"source": "a", "year": 2023})))
    outcome = refresh(source_of(("text", {"source": "a", "year": 2024})))
    (state,) = refresh.production.values()
    assert dict(state.location.metadata) == {"year": 2024}
    assert (dict(outcome.changes), outcome.num_parsed) == ({"a": "updated"}, 0)
