"""Access lists of Confluence pages: their own restrictions and those of the pages above."""

from typing import Any

from rag_assets.sources.confluence_client import ConfluenceClient, content_ids, value_at
from rag_assets.sources.wiki_client import Json, Refused

_SUBJECTS_AT_ONCE = 200
_ANCESTORS_AT_ONCE = 250


class PageReaders:
    """Readers of a page: everyone with access to the page and to all pages above.

    If restrictions cannot be read, no one may read the page: a failed request must not make a page public.
    """

    def __init__(self, client: ConfluenceClient, *, cloud: bool) -> None:
        self._client = client
        self._cloud = cloud
        self._known: dict[str, frozenset[str] | None] = {}

    def readers(
        self, page_id: str, space: str, ancestors: tuple[str, ...] | None, restrictions: Json | None
    ) -> tuple[str, ...]:
        """Return principals `user:…`, `group:…` or `space:…`. An empty list means no readers.

        Args:
            ancestors: ids of the pages above, or None if the listing did not include them.
            restrictions: those of the page itself, or None if the listing did not include them.
        """
        if restrictions is not None:
            self._known[page_id] = _subjects(restrictions)
        if ancestors is None:
            ancestors = self._ask_for_ancestors(page_id)
        if ancestors is None:
            return ()
        readers: frozenset[str] | None = None
        for level in (page_id, *ancestors):
            subjects = self._subjects_of(level)
            if subjects is None:
                return ()
            if subjects:
                readers = subjects if readers is None else readers & subjects
        return (f"space:{space}",) if readers is None else tuple(sorted(readers))

    def _subjects_of(self, page_id: str) -> frozenset[str] | None:
        """Return the users and groups with access to one level: empty without restrictions, None if unknown."""
        if page_id not in self._known:
            answer = self._ask(
                f"rest/api/content/{page_id}/restriction/byOperation/read",
                {"expand": "restrictions.user,restrictions.group", "limit": str(_SUBJECTS_AT_ONCE)},
            )
            self._known[page_id] = _subjects(value_at(answer, "restrictions"))
        return self._known[page_id]

    def _ask_for_ancestors(self, page_id: str) -> tuple[str, ...] | None:
        if not self._cloud:
            answer = self._ask(f"rest/api/content/{page_id}", {"expand": "ancestors"})
            found = (answer or {}).get("ancestors")
            return content_ids(found) if isinstance(found, list) else None
        answer = self._ask(f"api/v2/pages/{page_id}/ancestors", {"limit": str(_ANCESTORS_AT_ONCE)})
        found = (answer or {}).get("results")
        return content_ids(found) if isinstance(found, list) and len(found) < _ANCESTORS_AT_ONCE else None

    def _ask(self, path: str, query: dict[str, str]) -> Json | None:
        """Return an answer, or None if it is refused for this page only.

        Raises:
            SourceUnavailable: Confluence cannot be asked at all.
        """
        try:
            return self._client.get(path, query)
        except Refused as error:
            if error.status in (401, 429) or error.status >= 500:
                raise self._client.unavailable(error.problem, lasting=error.lasting) from None
            return None


def _subjects(restrictions: Any) -> frozenset[str] | None:
    """Return the users and groups in a read restriction, or None if the list is incomplete or its form unknown."""
    try:
        found: set[str] = set()
        for kind in ("user", "group"):
            subjects = restrictions[kind]
            results = subjects["results"]
            size = subjects.get("size", len(results))
            is_cut_off = subjects.get("limit") is not None and len(results) >= subjects["limit"]
            if (subjects.get("_links") or {}).get("next") or size != len(results) or is_cut_off:
                return None
            found.update(f"{kind}:{_principal(kind, subject)}" for subject in results)
        return frozenset(found)
    except (KeyError, TypeError, AttributeError):
        return None


def _principal(kind: str, subject: Json) -> str:
    """Return the name of a group, the account id of a Cloud user, or the user name in Data Center."""
    name = subject["name"] if kind == "group" else subject.get("accountId") or subject["username"]
    if not isinstance(name, str) or not name:
        raise TypeError
    return name
