"""The age of a generation in words."""

from datetime import UTC, datetime

from rag_assets.progress import duration
from rag_assets.text.wording import counted

_DAY_SECONDS = 86_400


def age(sealed_at: str, now: datetime | None = None) -> str:
    """Return the time since a generation was sealed: `35 s`, `5 h 10 min`, `12 days`.

    Args:
        sealed_at: ISO 8601. Without a time zone it is UTC.
    """
    sealed = datetime.fromisoformat(sealed_at)
    sealed = sealed if sealed.tzinfo is not None else sealed.replace(tzinfo=UTC)
    # Never negative: the clock of another machine may be ahead.
    seconds = max(0.0, ((now or datetime.now(UTC)) - sealed).total_seconds())
    return duration(seconds) if seconds < 2 * _DAY_SECONDS else counted(int(seconds // _DAY_SECONDS), "day")
