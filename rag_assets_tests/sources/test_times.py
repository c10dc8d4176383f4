from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rag_assets.sources.times import iso_utc


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (-5, "1969-12-31T23:59:55Z"),
        (0.75, "1970-01-01T00:00:00Z"),
        ("2026-01-05T10:11:12+02:00", "2026-01-05T08:11:12Z"),
        ("2026-01-05", "2026-01-05T00:00:00Z"),
        (datetime(2026, 1, 5, 10, tzinfo=timezone(timedelta(hours=2))), "2026-01-05T08:00:00Z"),
        (datetime(2026, 1, 5, 10, tzinfo=UTC).replace(tzinfo=None), "2026-01-05T10:00:00Z"),
        (10**14, None),
        (-(10**14), None),
        (float("nan"), None),
        ("yesterday", None),
        (None, None),
        ([], None),
    ],
)
def test_every_form_of_a_time_becomes_one(moment: Any, expected: str | None) -> None:
    assert iso_utc(moment) == expected
