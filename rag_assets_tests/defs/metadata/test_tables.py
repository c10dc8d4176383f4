from rag_assets.defs.metadata.tables import bar, breakdown, shown
from rag_assets_tests.defs.metadata.table_rows import rows


def test_a_bar_grows_with_its_share_and_keeps_its_width() -> None:
    bars = [bar(step / 80) for step in range(81)]
    assert len(set(bars)) == 81
    assert {len(drawn) for drawn in bars} == {len(bar(1))}
    assert set(bar(1)) == {"█"}
    assert set(bar(0)) == {"░"}


def test_a_breakdown_shows_only_parts_above_zero() -> None:
    found = rows(breakdown("texts", {"cached": 3, "embedded": 1, "lost": 0}))
    assert [(row["texts"], row["count"]) for row in found] == [("cached", 3), ("embedded", 1)]
    assert found[0]["share"] == bar(0.75)


def test_empty_values_are_hidden() -> None:
    metadata = {"table": breakdown("texts", {"cached": 0}), "none": None, "zero": 0, "no": False, "text": ""}
    assert shown(metadata) == {"zero": 0, "no": False, "text": ""}
