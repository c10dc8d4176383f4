from rag_assets.defs.metadata.generations import index_table
from rag_assets_tests.defs.metadata.table_rows import rows
from rag_assets_tests.documents import FINGERPRINT


def test_each_setting_of_the_index_has_a_row() -> None:
    values = {row["setting"]: row["value"] for row in rows(index_table(FINGERPRINT))}
    assert values.keys() == FINGERPRINT.keys()
    assert values["chunk_size"] == "512"
    assert "model fake-8" in values["embedding_model"]
    assert "endpoint" not in values["embedding_model"]
