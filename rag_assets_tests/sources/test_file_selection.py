"""Which files a source reads: patterns, and counts of the files left out. The same for every source of files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_assets.sources.base import Source
from rag_assets.sources.registry import SOURCES
from rag_assets_tests.optional_packages import require

FILES = (
    "hr/handbook.md",
    "hr/drafts/plan.md",
    "it/guide.adoc",
    "it/setup.ADOC",
    "it/slides.key",
    "Gro\u0308ße/a.md",
    "LICENSE",
    "odd. of May",
)
Reads = Callable[..., Source]


@pytest.fixture(params=["filesystem", "fsspec", "s3"])
def reads(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Make a source of this kind with these files."""
    required: dict[str, Any] = {"folder": tmp_path}
    if request.param == "s3":
        require("boto3", "moto", "flask", "flask_cors")
        from rag_assets_tests.moto_server import moto_server, use_credentials

        use_credentials(monkeypatch)
        server = moto_server()
        required = {"bucket": server.new_bucket(), "endpoint_url": server.url}
        for path in FILES:
            server.client("s3").put_object(Bucket=required["bucket"], Key=path, Body=b"text")
    else:
        for path in FILES:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text("text")
        if request.param == "fsspec":
            required = {"url": f"file://{tmp_path}"}

    def made(**options: Any) -> Source:
        kind = SOURCES[request.param]
        return kind("files", kind.Options(**required, **options))

    return made


def _listed(source: Source) -> list[str]:
    return sorted(entry.path for entry in source.list_entries())


def test_files_left_out_are_counted_by_their_ending(reads: Reads) -> None:
    source = reads()
    for _ in range(2):
        assert _listed(source) == ["Gro\u0308ße/a.md", "LICENSE", "hr/drafts/plan.md", "hr/handbook.md"]
        assert dict(source.left_out) == {".adoc": 2, ".key": 1, "(other)": 1}  # pyright: ignore


def test_patterns_choose_the_files(reads: Reads) -> None:
    source = reads(include=("hr/*", "it/*"), exclude=("*/drafts/*", "*.key"))
    assert _listed(source) == ["hr/handbook.md"]
    assert dict(source.left_out) == {".adoc": 2, "(excluded)": 5}  # pyright: ignore


def test_a_typed_pattern_fits_names_from_macos(reads: Reads) -> None:
    assert _listed(reads(include=("Größe/*",))) == ["Gro\u0308ße/a.md"]


def test_an_excluded_folder_is_not_opened(
    reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be read is no outage any more, once it is excluded."""
    from rag_assets.sources.base import FailsInParts
    from rag_assets_tests.sources.test_filesystem_outages import refuse

    refuse(monkeypatch, "open", "hr")
    refuse(monkeypatch, "scandir", "hr")
    source = reads(exclude=("hr/*", "odd*"))
    assert _listed(source) == ["Gro\u0308ße/a.md", "LICENSE"]
    assert not isinstance(source, FailsInParts) or not list(source.outages())
