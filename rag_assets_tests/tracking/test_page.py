"""docs/metadata-tables.md names every table and column, and its queries run on both databases."""

import re
from pathlib import Path

import pytest

from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.served import bring_to_production
from rag_assets.tracking.tables import METADATA
from rag_assets_tests.tracking.conftest import Query
from rag_assets_tests.tracking.sample_records import cost, question, run_record
from rag_assets_tests.tracking.test_contract import serving

PAGE = (Path(__file__).parents[2] / "docs" / "metadata-tables.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_names_every_column_once() -> None:
    sections = re.findall(r"### `(rag_\w+)`\n(.*?)(?=\n### |\Z)", PAGE, flags=re.DOTALL)
    named = {
        table: [
            column
            for line in re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
            for column in re.findall(r"`(\w+)`", line)
        ]
        for table, text in sections
    }
    assert {table: sorted(columns) for table, columns in named.items()} == {
        name: sorted(table.columns.keys()) for name, table in METADATA.tables.items()
    }


@pytest.fixture
def filled(database: MetadataDatabase) -> MetadataDatabase:
    for number, outcome in ((1, "blocked"), (2, "live"), (3, "failed")):
        run_id = f"r{number}"
        worse = question(run_id, 1, "fs:b") | {"recall_at_5": 0.0, "production_recall_at_5": 1.0}
        record = run_record(
            run_id,
            number,
            outcome,
            costs=[cost(run_id, 1000, 0.25)],
            questions=[worse, question(run_id, 2, "fs:a") | {"production_recall_at_5": 1.0}],
        )
        record.rows["rag_evaluations"] = [
            {"run_id": run_id, "subject": subject, "recall_at_5": recall, "eval_threshold": 0.75}
            for subject, recall in (("candidate", 0.5), ("production", 0.75))
        ]
        database.put(record)
    bring_to_production(database, serving("g2", {"a": "1", "b": "2", "c": "2"}))
    return database


def test_the_page_has_five_queries() -> None:
    assert len(QUERIES) == 5


def test_the_queries_of_the_page_find_what_they_promise(filled: MetadataDatabase, query: Query) -> None:
    costs, incidents, quality, worse, documents = (query(sql) for sql in QUERIES)
    assert costs == [{"month": "2026-05", "model": "small", "num_tokens": 3000, "cost_usd": 0.75}]
    assert [(row["name"], row["kind"]) for row in incidents] == [("handbook", "failed")]
    assert [(row["outcome"], row["recall_at_5"], row["production_recall_at_5"]) for row in quality] == [
        ("failed", 0.5, 0.75),
        ("live", 0.5, 0.75),
        ("blocked", 0.5, 0.75),
    ]
    assert [row["question"] for row in worse] == ["question 1?"]
    assert documents == [
        {"name": "handbook", "source": "filesystem", "num_documents": 3, "num_chunks": 6, "num_tokens": 18}
    ]
