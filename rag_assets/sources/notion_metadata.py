"""Properties of a Notion page as metadata, with their types.

Names of people, e-mail addresses and telephone numbers get keys that count as personal, under any name of the property.

The shapes of properties: https://developers.notion.com/reference/page-property-values.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rag_assets.document_metadata.normalization import normalized, normalized_key
from rag_assets.document_metadata.sensitive import is_personal_key
from rag_assets.document_metadata.values import Metadata
from rag_assets.sources.notion_markdown import plain_text, unique_id_text
from rag_assets.sources.wiki_client import Json

_LEFT_OUT = frozenset(("title", "button", "files", "relation", "last_edited_time"))
"""Without a value of their own, or known as title and time of the document."""
_PERSONAL = {
    "people": "people",
    "created_by": "people",
    "last_edited_by": "people",
    "email": "email",
    "phone_number": "phone",
}
"""Type -> last word of its keys."""
_UNUSABLE = object()


def metadata_of(page: Json) -> Metadata:
    """Return the properties of a listed page, and the time of its creation. A value of an unknown form is left out."""
    properties = page.get("properties")
    found: dict[str, Any] = {}
    if isinstance(properties, Mapping):
        # Sorted: the order in an answer may vary, and the limits depend on it.
        for name in sorted(properties):
            try:
                found.update(_fields(name, properties[name]))
            except (KeyError, TypeError, ValueError, AttributeError, OSError, RecursionError):
                found[name] = _UNUSABLE
    return normalized(found, {"created": page.get("created_time")})


def _fields(name: str, value: Json) -> Iterator[tuple[str, Any]]:
    kind = value["type"]
    content = value.get(kind)
    if kind in ("formula", "rollup") and content is not None:
        if content["type"] == "array":
            yield from _array(name, content["array"])
        else:
            yield from _fields(name, content)
    elif kind == "date" and content is not None:
        yield name, _time(content["start"], content.get("time_zone"))
        if content.get("end"):
            yield f"{name} end", _time(content["end"], content.get("time_zone"))
    elif kind not in _LEFT_OUT and content is not None:
        yield _key(name, kind), _VALUES.get(kind, _unknown)(content)


def _array(name: str, values: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a rollup as one list. Values with several fields or lists count one by one."""
    lists: dict[str, list[Any]] = {}
    for value in values:
        # The titles of related pages are what such a rollup shows.
        if value["type"] == "title":
            value = {"type": "rich_text", "rich_text": value["title"]}
        for key, content in _fields(name, value):
            lists.setdefault(key, []).extend(content if isinstance(content, list) else [content])
    yield from lists.items()


def _key(name: str, kind: str) -> str:
    word = _PERSONAL.get(kind)
    if word is None or is_personal_key(normalized_key(name) or ""):
        return name
    return f"{name} {word}"


def _time(text: str, zone: str | None) -> str:
    """Return a date or a time, with its offset if it has a time zone of its own."""
    if zone is None:
        return text
    moment = datetime.fromisoformat(text)
    is_date = len(text) == len("2026-01-31")
    return text if is_date or moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)).isoformat()


def _itself(content: Any) -> Any:
    return content


def _unknown(content: Any) -> Any:
    return _UNUSABLE if content else None


def _name(content: Json) -> Any:
    return content["name"]


def _names(content: Any) -> list[Any]:
    return [one.get("name") for one in content]


_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "number": _itself,
    "checkbox": _itself,
    "url": _itself,
    "email": _itself,
    "phone_number": _itself,
    "created_time": _itself,
    "string": _itself,  # the kinds of a formula
    "boolean": _itself,
    "rich_text": plain_text,
    "select": _name,
    "status": _name,
    "multi_select": _names,
    "people": _names,
    "created_by": lambda content: content.get("name"),
    "last_edited_by": lambda content: content.get("name"),
    "unique_id": unique_id_text,
    "verification": lambda content: content.get("state"),
}
