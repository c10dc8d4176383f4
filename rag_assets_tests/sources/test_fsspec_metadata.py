"""Metadata in the listings of cloud storage, in the forms of gcsfs and adlfs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem

from rag_assets.sources.fsspec_files import FsspecOptions, FsspecSource
from rag_assets.sources.fsspec_metadata import metadata_of
from rag_assets_tests.sources.small_refresh import SmallRefresh


class LabeledFileSystem(MemoryFileSystem):
    """Adds fields to each listed file.

    Attributes:
        fields: of all files.
    """

    protocol = "labeled"
    cachable = False
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fields: ClassVar[dict[str, Any]] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(str(path).removeprefix("labeled://"))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        return [{**info, **self.fields} for info in super().ls(path, detail=True, **kwargs)]


class ContentSettings:
    """As adlfs lists it: attributes, no mapping."""

    content_language = "de"
    content_type = "text/plain"


@pytest.fixture
def files() -> Iterator[LabeledFileSystem]:
    register_implementation("labeled", LabeledFileSystem, clobber=True)
    files = LabeledFileSystem()
    files.pipe_file("/docs/a.txt", b"text of a")
    yield files
    files.store.clear()
    files.fields.clear()


def source_of() -> FsspecSource:
    return FsspecSource("files", FsspecOptions(url="labeled:///docs"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"metadata": None, "content_settings": None}, {}),
        (
            {
                "metadata": {"docType": "policy", "goog-reserved-file-mtime": "17"},
                "contentLanguage": "de, en",
            },
            {"doc_type": "policy", "language": ("de", "en")},
        ),
        (
            {"metadata": {"year": "2024", "is_directory": "false"}, "content_settings": ContentSettings()},
            {"year": "2024", "language": "de"},
        ),
        ({"metadata": {"language": "fr"}, "contentLanguage": "de"}, {"language": "fr"}),
        ({"metadata": "text", "contentLanguage": 5}, {}),
        ({"metadata": ["a"], "contentLanguage": b"de"}, {}),
    ],
)
def test_metadata_of_cloud_storage_are_listed(
    files: LabeledFileSystem, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    files.fields.update(fields)
    (entry,) = source_of().list_entries()
    assert dict(entry.metadata) == expected


def test_hostile_metadata_harm_nothing() -> None:
    metadata = metadata_of(
        {
            "metadata": {
                None: 1,
                7: float("nan"),
                "long": "x" * 1_000_000,
                **{f"k{n}": n for n in range(10_000)},
            }
        }
    )
    assert len(metadata) <= 64
    assert metadata.left_out


def test_changed_metadata_change_the_payload_alone(files: LabeledFileSystem, tmp_path: Path) -> None:
    refresh = SmallRefresh(tmp_path)
    files.fields.update({"ETag": "1", "metadata": {"status": "draft"}})
    refresh(source_of())
    files.fields["metadata"] = {"status": "final"}
    outcome = refresh(source_of())
    (state,) = refresh.production.values()
    assert dict(state.location.metadata) == {"status": "final"}
    assert (dict(outcome.changes), outcome.num_parsed) == ({"a.txt": "updated"}, 0)
