from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_assets.artifacts.store import ArtifactStore
from rag_assets_tests.artifacts.samples import SCHEMA, header, write


@pytest.mark.parametrize("rows", [0, 1, 1023, 1024, 1025, 3000])
def test_any_number_of_rows_comes_back_in_order(store: ArtifactStore, rows: int) -> None:
    write(store, "chunks", "run", rows, num_chunks=rows)
    artifact = store.find("chunks", ["run"])
    assert [row["number"] for row in artifact.rows()] == list(range(rows))
    assert artifact.details == {"num_chunks": rows}
    assert artifact.header.refresh_id == header().refresh_id
    assert (artifact.header.base, artifact.header.fingerprint) == ("g1", {"model": "m"})
    assert artifact.header.run_id == "run"
    assert artifact.header.created_at


def test_a_writer_counts_its_rows_and_keeps_few_in_memory(store: ArtifactStore, tmp_path: Path) -> None:
    with store.write("chunks", "run", SCHEMA, header()) as (writer, _):
        for number in range(2500):
            writer.write({"number": number})
        writer.write_table(pa.table({"number": [1, 2]}, schema=SCHEMA))
    assert writer.num_rows == 2502
    written = pq.read_metadata(tmp_path / "artifacts/chunks/run/data.parquet")
    groups = [written.row_group(number).num_rows for number in range(written.num_row_groups)]
    assert sum(groups) == 2502
    assert max(groups) <= 1024


def test_only_the_requested_columns_are_read(store: ArtifactStore) -> None:
    schema = pa.schema([("number", pa.int64()), ("text", pa.string())])
    with store.write("chunks", "run", schema, header()) as (writer, _):
        writer.write({"number": 1, "text": "one"})
    assert list(store.find("chunks", ["run"]).rows(["text"])) == [{"text": "one"}]


def test_rows_are_found_by_a_value(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "number=7" / "artifacts")  # a path similar to a partition
    write(store, "chunks", "run", 3000)
    artifact = store.find("chunks", ["run"])
    assert artifact.find_rows("number", 2999) == [{"number": 2999}]
    assert artifact.find_rows("number", 3000) == []
