"""Parsing processes shared by tests: each takes a tenth of a second to start."""

from functools import cache

from rag_assets.parsers.isolation import ParseLimits, ParseWorkers


def kept_workers(limits: ParseLimits | None = None) -> ParseWorkers:
    """Return the parsing processes of all readings with these limits. They end with this process."""
    return _workers_within(limits or ParseLimits())


@cache
def _workers_within(limits: ParseLimits) -> ParseWorkers:
    return _KeptWorkers(limits)


class _KeptWorkers(ParseWorkers):
    """Parsing processes that outlive a reading."""

    def close(self) -> None: ...
