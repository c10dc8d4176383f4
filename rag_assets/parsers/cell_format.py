"""Values of a workbook as text, close to the display in Excel, but the same in every country.

Dates are ISO 8601, the decimal separator is a point, and thousands are not separated: people search for `2026-03-01`
and `1234.50`.
"""

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from rag_assets.parsers.layout import one_line

_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.')
_CURRENCY = re.compile(r"\[\$([^\]-]+)|([$€£¥₹])")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_DIGITS = re.compile(r"[0#?](?:[0#?,]*[0#?])?(?:\.([0#?]*))?")


class _NumberFormat(NamedTuple):
    """The parts of a number format that matter here.

    Attributes:
        decimals: number of digits behind the point, None for all.
        min_digits: before the point. More than 0 only for formats with leading zeros, as in postal codes.
    """

    decimals: int | None
    min_digits: int
    is_percent: bool
    currency: str


def shown(value: object, number_format: str | None) -> str:
    """Return a value in one line, "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _shown_number(value, number_format or "General")
    if isinstance(value, datetime):
        has_time = value.time() != time() or "h" in (number_format or "").lower()
        return (
            f"{value.date().isoformat()} {_shown_time(value.time())}"
            if has_time
            else value.date().isoformat()
        )
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return _shown_time(value)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return one_line(str(value))


def _shown_time(value: time) -> str:
    return value.isoformat("seconds" if value.second else "minutes")


def _shown_number(value: float, number_format: str) -> str:
    known = _read_format(number_format)
    if known.is_percent:
        value *= 100
    if known.decimals is not None and abs(value) < 1e15:
        text = f"{value:.{known.decimals}f}"
    else:
        text = str(int(value)) if abs(value) < 1e15 and value == int(value) else f"{value:.15g}"
    if known.min_digits and text.isdigit():
        text = text.zfill(known.min_digits)
    return f"{text}{'%' if known.is_percent else ''}{' ' if known.currency else ''}{known.currency}"


@lru_cache(maxsize=1024)
def _read_format(number_format: str) -> _NumberFormat:
    """Return the format of positive numbers, the first section."""
    section = number_format.partition(";")[0][:200]
    currency = _CURRENCY.search(section)
    plain = _QUOTED.sub("", _BRACKETS.sub("", section))
    digits = _DIGITS.search(plain)
    # Scientific notation, fractions, and scaling to thousands are shown in full.
    if digits is None or "E" in plain or "/" in plain or plain[digits.end() :].startswith(","):
        return _NumberFormat(None, 0, "%" in plain, "")
    decimals = len(digits[1]) if digits[1] and "#" not in digits[1] and "?" not in digits[1] else None
    if digits[1] is None:
        decimals = 0
    min_digits = len(plain) if plain and not plain.strip("0") and len(plain) > 1 else 0
    return _NumberFormat(
        decimals, min_digits, "%" in plain, (currency[1] or currency[2]).strip() if currency else ""
    )
