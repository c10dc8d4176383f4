from datetime import datetime, time, timedelta

import pytest

from rag_assets.parsers.cell_format import shown


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (None, "General", ""),
        (80, "General", "80"),
        (80.0, "General", "80"),
        (0.1 + 0.2, "General", "0.3"),
        (1e20, "General", "1e+20"),
        (-1.5, None, "-1.5"),
        (1234.5, "#,##0.00", "1234.50"),
        (1234.5, "#,##0", "1234"),
        (1234.25, "#,##0.##", "1234.25"),
        (1234.5, "0.00E+00", "1234.5"),
        (1234567, "#,##0,", "1234567"),
        (0.5, "# ?/?", "0.5"),
        (0.125, "0.0%", "12.5%"),
        (0.07, "0%", "7%"),
        (-27, '"$"#,##0.00;[Red]-"$"#,##0.00', "-27.00 $"),
        (27, "#,##0.00\\ [$kr-414]", "27.00 kr"),
        (27, '0.0" kg"', "27.0"),
        (150, "00000", "00150"),
        (True, "0", "TRUE"),
        (" a\nb ", "@", "a b"),
        (datetime(2026, 3, 1), "d. mmm yy", "2026-03-01"),
        (datetime(2026, 3, 1), "yyyy-mm-dd hh:mm", "2026-03-01 00:00"),
        (datetime(2026, 3, 1, 9, 5, 7), "d", "2026-03-01 09:05:07"),
        (time(8, 30), "h:mm", "08:30"),
        (timedelta(hours=30, seconds=5), "[h]:mm", "30:00:05"),
        (float("inf"), "0", "inf"),
    ],
)
def test_a_value_is_shown_by_its_format(value: object, number_format: str | None, text: str) -> None:
    assert shown(value, number_format) == text
