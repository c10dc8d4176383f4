import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from rag_assets.artifacts.parquet_artifact import FORMAT_VERSION
from rag_assets.artifacts.store import ArtifactStore
from rag_assets.disk.processes import pid_space
from rag_assets.errors import StaleInputError, StateFormatError
from rag_assets_tests.artifacts.samples import SCHEMA, header, write


def folders(tmp_path: Path, asset: str = "chunks") -> set[str]:
    return {path.name for path in (tmp_path / "artifacts" / asset).iterdir() if path.is_dir()}


def test_the_artifact_of_this_run_comes_first_then_of_its_parent_then_the_latest(
    store: ArtifactStore,
) -> None:
    for number, run in enumerate(["parent", "this", "other"], start=1):
        write(store, "chunks", run, number)

    def rows(*runs: str) -> int:
        return len(list(store.find("chunks", runs).rows()))

    assert rows("this", "parent") == 2
    assert rows("unknown", "parent") == 1
    assert rows("unknown") == 3


def test_a_missing_artifact_is_requested_by_name(store: ArtifactStore) -> None:
    assert store.latest("chunks") is None
    with pytest.raises(StaleInputError, match="materialize chunks first"):
        store.find("chunks", ["run"])


def test_a_failed_step_leaves_no_trace(store: ArtifactStore, tmp_path: Path) -> None:
    write(store, "chunks", "before", 1)

    def break_off() -> None:
        with store.write("chunks", "run", SCHEMA, header()) as (writer, _):
            writer.write({"number": 1})
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        break_off()
    assert folders(tmp_path) == {"before"}
    assert store.find("chunks", ["run"]).header.run_id == "before"


def test_a_row_that_does_not_fit_leaves_no_trace(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(pa.ArrowInvalid), store.write("chunks", "run", SCHEMA, header()) as (writer, _):
        writer.write({"number": "one"})
    assert folders(tmp_path) == set()


def test_a_repeated_step_replaces_its_artifact(store: ArtifactStore, tmp_path: Path) -> None:
    write(store, "chunks", "run", 1)
    write(store, "chunks", "run", 2)
    assert len(list(store.find("chunks", ["run"]).rows())) == 2
    assert "run" in folders(tmp_path)


def test_leftovers_of_a_killed_writer_are_never_read(store: ArtifactStore, tmp_path: Path) -> None:
    writing = store.write("chunks", "run", SCHEMA, header())
    writing.__enter__()
    assert [name[:9] for name in folders(tmp_path)] == [".staging-"]
    assert store.latest("chunks", ["run"]) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"run_id": 3}'])
def test_a_corrupt_pointer_counts_as_missing(store: ArtifactStore, tmp_path: Path, damage: str) -> None:
    write(store, "chunks", "run")
    (tmp_path / "artifacts/chunks/latest.json").write_text(damage)
    assert store.latest("chunks") is None
    assert store.latest("chunks", ["run"]) is not None


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "{}", f'{{"format_version": {FORMAT_VERSION}}}'])
def test_a_corrupt_header_is_reported_and_pruned(store: ArtifactStore, tmp_path: Path, damage: str) -> None:
    write(store, "chunks", "run")
    (tmp_path / "artifacts/chunks/run/header.json").write_text(damage)
    with pytest.raises(StateFormatError, match="materialize all assets"):
        store.latest("chunks", ["run"])
    store.prune()
    assert folders(tmp_path) == set()
    assert store.latest("chunks", ["run"]) is None


def test_an_artifact_of_another_format_version_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    write(store, "chunks", "run")
    path = tmp_path / "artifacts/chunks/run/header.json"
    path.write_text(path.read_text().replace(f'"format_version": {FORMAT_VERSION}', '"format_version": 99'))
    with pytest.raises(StateFormatError, match=f"version 99, this program reads {FORMAT_VERSION}"):
        store.find("chunks", ["run"])


def test_the_artifacts_of_the_last_five_refreshes_are_kept(store: ArtifactStore, tmp_path: Path) -> None:
    for day in range(1, 9):
        for asset in ("raw_documents", "chunks"):
            write(store, asset, f"run-{day}", head=header(f"2026010{day}T000000-x"))
    # One run continued the oldest kept refresh, another run a removed one.
    write(store, "chunks", "run-late", head=header("20260104T000000-x"))
    write(store, "chunks", "run-too-late", head=header("20260102T000000-x"))
    store.prune()
    kept = {f"run-{day}" for day in (4, 5, 6, 7, 8)}
    assert folders(tmp_path, "raw_documents") == kept
    assert folders(tmp_path, "chunks") == kept | {"run-late"}
    assert len(list(store.find("chunks", ["run-8"]).rows())) == 3


def test_leftovers_of_dead_writers_are_removed_and_those_of_live_ones_stay(
    store: ArtifactStore, tmp_path: Path
) -> None:
    write(store, "chunks", "run")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = pid_space()
    alive, elsewhere = f".staging-b-{os.getpid()}-{here}", f".staging-c-{dead.pid}-another-machine"
    # The same host name, but pids of its own; and one of an earlier version, left long ago.
    container, old = f".staging-d-{dead.pid}-{here}1", f".staging-e-{dead.pid}-{socket.gethostname()}"
    for name in (
        f".staging-a-{dead.pid}-{here}",
        alive,
        elsewhere,
        container,
        old,
        ".staging-of-no-known-form",
    ):
        (tmp_path / "artifacts/chunks" / name).mkdir()
    os.utime(tmp_path / "artifacts/chunks" / old, (0, 0))
    store.prune()
    assert folders(tmp_path) == {"run", alive, elsewhere, container}


def test_artifacts_are_private(store: ArtifactStore, tmp_path: Path) -> None:
    write(store, "chunks", "run")
    for path in (tmp_path / "artifacts", tmp_path / "artifacts/chunks", tmp_path / "artifacts/chunks/run"):
        assert path.stat().st_mode & 0o077 == 0


def test_kept_artifacts_are_readable_ones_with_the_latest_refresh_first(
    store: ArtifactStore, tmp_path: Path
) -> None:
    for day in (2, 3, 1):
        write(store, "chunks", f"run-{day}", head=header(f"2026010{day}T000000-x"))
    (tmp_path / "artifacts/chunks/run-2/header.json").write_text("{")
    assert [artifact.header.run_id for artifact in store.kept("chunks")] == ["run-3", "run-1"]
    assert store.kept("embeddings") == []


def test_an_artifact_changed_after_it_was_written_is_refused_by_name(
    store: ArtifactStore, tmp_path: Path
) -> None:
    write(store, "chunks", "run", 3)
    write(store, "chunks", "other", 2)
    folder = tmp_path / "artifacts/chunks"
    (folder / "run/data.parquet").write_bytes((folder / "other/data.parquet").read_bytes())
    with pytest.raises(StateFormatError, match="was changed after it was written: materialize chunks"):
        list(store.find("chunks", ["run"]).rows())
    with pytest.raises(StateFormatError, match="was changed after it was written"):
        store.find("chunks", ["run"]).find_rows("number", 1)
    assert len(list(store.find("chunks", ["other"]).rows())) == 2
