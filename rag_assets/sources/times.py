"""Times of sources in the one form of `SourceEntry.modified_at`."""

from datetime import UTC, datetime
from typing import Any


def iso_utc(moment: Any) -> str | None:
    """Return a time as `2026-01-31T12:00:00Z`, or None if it is not a time in the years 1 to 9999.

    Args:
        moment: seconds since 1970, text in ISO 8601, or a datetime. Without a time zone it is UTC.
    """
    try:
        if isinstance(moment, int | float):
            moment = datetime.fromtimestamp(moment, UTC)
        elif isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if not isinstance(moment, datetime):
            return None
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return None
