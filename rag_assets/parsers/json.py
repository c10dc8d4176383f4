"""JSON as text for people and embedding models: one line per value, after its path.

Arrays of objects are records: one block each, under a heading with the name of the array. Nothing is rounded or
dropped: numbers keep their notation, and a repeated key keeps both values. Only empty values (`null`, `""`, `[]`,
`{}`) are left out.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import MAX_LABEL_CHARACTERS, label, one_line, row_line, without_marks
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

JsonValue: TypeAlias = Any
"""`None`, `bool`, `str` (numbers too), a list (an array), or a tuple of pairs (an object)."""

_NAMES = ("title", "name")
_MAX_NAME_CHARACTERS = 200
_MAX_DEPTH = 100
_MAX_LISTED_CHARACTERS = 40


class JsonParser:
    """Lines `path.to.key: value`. Title: `title` or `name` of the outermost object."""

    name = "json"
    version = "1"
    suffixes: tuple[str, ...] = (".json",)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        value = load_json(decode_text(data))
        if not isinstance(value, tuple):
            records = value if _is_record_array(value) else [value]
            return ParsedDocument(text="\n\n".join(record_blocks(records, heading_level=1)))
        title, members = _split_name(value)
        lines: list[str] = []
        arrays: list[tuple[str, list[JsonValue]]] = []
        _collect(members, "", lines, arrays)
        # A heading covers everything up to the next one, so the values outside arrays come first.
        blocks = [f"# {title}"] if title else []
        blocks.append(without_marks("\n".join(lines)))
        for path, records in arrays:
            if inner := record_blocks(records, heading_level=3):
                blocks += [f"## {path}", *inner]
        return ParsedDocument(text="\n\n".join(blocks), title=title)


def load_json(text: str, line: int | None = None) -> JsonValue:
    """Return a JSON value.

    Args:
        line: its number, if the text is one line of a file.

    Raises:
        DocumentUnreadable: `corrupt`, with the place and without the content.
    """
    try:
        return json.loads(text, object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        several = error.msg == "Extra data" and line is None
        hint = " If it holds one value a line, name it .jsonl." if several else ""
        place = f"line {line or error.lineno}, column {error.colno}"
        raise DocumentUnreadable("corrupt", f"It is not valid JSON at {place}.{hint}") from None
    except RecursionError:
        raise _too_deep() from None


def record_blocks(records: Iterable[JsonValue], heading_level: int) -> list[str]:
    """Return a block for each non-empty record, headed by its `title` or `name` if it has one."""
    blocks: list[str] = []
    for record in records:
        name, members = _split_name(record) if isinstance(record, tuple) else ("", record)
        heading = f"{'#' * heading_level} {name}" if name else ""
        lines = without_marks("\n".join(_lines(members, "", 1)))
        if heading or lines:
            blocks.append("\n".join(filter(None, (heading, lines))))
    return blocks


def _is_record_array(value: JsonValue) -> bool:
    return isinstance(value, list) and any(isinstance(item, tuple) for item in value)


def _split_name(members: Sequence[tuple[str, JsonValue]]) -> tuple[str, Sequence[tuple[str, JsonValue]]]:
    """Return the name of an object, "" if it has none, and its other members."""
    for wanted in _NAMES:
        for index, (key, value) in enumerate(members):
            if key.lower() == wanted and isinstance(value, str) and len(value) <= _MAX_NAME_CHARACTERS:
                name = one_line(value)
                if any(character.isalpha() for character in name):
                    return name, (*members[:index], *members[index + 1 :])
    return "", members


def _collect(
    members: Sequence[tuple[str, JsonValue]],
    path: str,
    lines: list[str],
    arrays: list[tuple[str, list[JsonValue]]],
    depth: int = 1,
) -> None:
    """Collect the lines of an object, and separately its arrays of records."""
    if depth > _MAX_DEPTH:
        raise _too_deep()
    for key, value in members:
        inner_path = _joined(path, key)
        if isinstance(value, tuple):
            lines.append("")
            _collect(value, inner_path, lines, arrays, depth + 1)
            lines.append("")
        elif _is_record_array(value):
            arrays.append((inner_path, value))
        else:
            lines += _lines(value, inner_path, depth + 1)


def _lines(value: JsonValue, path: str, depth: int) -> list[str]:
    """Return one line per value, or several for a value with line breaks."""
    if depth > _MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, tuple):
        return [line for key, inner in value for line in _lines(inner, _joined(path, key), depth + 1)]
    if not isinstance(value, list):
        return _labeled(path, _shown(value))
    if all(_is_short(item) for item in value):
        return _labeled(path, ", ".join(filter(None, map(_shown, value))))
    lines: list[str] = []
    for item in value:
        if isinstance(item, tuple) and all(_is_scalar(inner) for _, inner in item):
            # The members of a small object stay on one line.
            keys = [label(key) for key, _ in item]
            lines += _labeled(path, row_line(keys, [one_line(_shown(inner)) for _, inner in item]))
        else:
            lines += _lines(item, path, depth + 1)
    return lines


def _labeled(path: str, text: str) -> list[str]:
    if not (text and path):
        return [text] if text else []
    separator = "\n" if "\n" in text else " "
    return [f"{path}:{separator}{text}"]


def _joined(path: str, key: str) -> str:
    """Return the path of a member, shortened to its end if it is long."""
    return (f"{path}.{label(key)}" if path else label(key))[-MAX_LABEL_CHARACTERS:]


def _is_scalar(value: JsonValue) -> bool:
    return not isinstance(value, (list, tuple))


def _is_short(value: JsonValue) -> bool:
    return _is_scalar(value) and len(shown := _shown(value)) <= _MAX_LISTED_CHARACTERS and "\n" not in shown


def _shown(scalar: bool | str | None) -> str:
    if isinstance(scalar, str):
        return "\n".join(scalar.strip().splitlines())
    return "" if scalar is None else str(scalar).lower()


def _too_deep() -> DocumentUnreadable:
    return DocumentUnreadable("corrupt", f"It is nested more than {_MAX_DEPTH} levels deep.")
