"""The order of results: by score, and by id where scores are equal.

An engine breaks ties arbitrarily, differently from call to call, and the cut at `limit` may fall into the middle of a
tie (the same boilerplate in fifty documents gets the same score fifty times). So more results are fetched than needed,
and still more as long as the tie at the cut extends to the last result.
"""

from collections.abc import Callable, Sequence

from rag_assets.records import ScoredPoint

OVERFETCH = 32
_MOST = 10_000


def rank_exactly(fetch: Callable[[int], Sequence[list[ScoredPoint]]], limit: int) -> list[list[ScoredPoint]]:
    """Return each list of `fetch(how_many)` in the exact order, cut to `limit`."""
    how_many = limit + OVERFETCH
    while True:
        lists = fetch(how_many)
        if how_many >= _MOST + limit or not any(_tie_at_end(found, limit, how_many) for found in lists):
            return [sorted(found, key=lambda point: (-point.score, point.id))[:limit] for found in lists]
        how_many = min(how_many * 4, _MOST + limit)


def _tie_at_end(found: list[ScoredPoint], limit: int, how_many: int) -> bool:
    if len(found) < how_many:
        return False
    scores = sorted((point.score for point in found), reverse=True)
    return scores[limit - 1] == scores[-1]
