from datetime import UTC, datetime

import pytest

from rag_assets.serving.age import age

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sealed_at", "expected"),
    [
        ("2026-03-10T11:59:25Z", "35 s"),
        ("2026-03-10T06:50:00+00:00", "5 h 10 min"),
        ("2026-03-10T09:00:00+02:00", "5 h"),
        ("2026-03-10T11:00:00", "60 min"),
        ("2026-03-08T12:00:00Z", "2 days"),
        ("2026-02-26T11:00:00Z", "12 days"),
        ("2026-03-10T12:00:09Z", "0.0 s"),
    ],
)
def test_an_age_is_in_the_largest_fitting_unit_and_never_negative(sealed_at: str, expected: str) -> None:
    assert age(sealed_at, NOW) == expected
