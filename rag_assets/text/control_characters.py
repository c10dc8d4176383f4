"""Control characters in names, titles and texts of others, in the one spelling of every command and message.

A terminal acts on escape sequences, on line ends in a name, and on marks that reverse the order of letters. Imports nothing
heavy: `--help` needs it.
"""

import json
import re

from rag_assets.disk.file_names import shown_name

# C0 and C1 controls, separators of lines, embeddings and overrides of the direction, and surrogates, which no encoding has.
_ACTS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_IN_A_LINE = re.compile(f"[\t\n{_ACTS}]")
_IN_A_TEXT = re.compile(f"[{_ACTS}]")
_ESCAPED = re.compile(r"\\(?:u[0-9a-f]{4}|[bfnrt])")


def printable(text: str) -> str:
    """Return a text of several lines with its control characters as `\\u001b`."""
    return text if text.isascii() and text.isprintable() else _IN_A_TEXT.sub(_shown, text)


def one_line(text: str) -> str:
    """Return a text as one line, with control characters as `\\u001b`, and line ends and tabs as `\\n` and `\\t`.

    Undecodable bytes in the name of a file become `%E9`, as in ids of documents.
    """
    return text if text.isascii() and text.isprintable() else _IN_A_LINE.sub(_shown, text)


def printable_json(text: str) -> str:
    """Return JSON with its control characters escaped. It has the same value."""
    return text if text.isascii() and text.isprintable() else _IN_A_TEXT.sub(_escaped, text)


def quoted(name: str) -> str:
    """Return a name in quotation marks, on one line, for a message."""
    return f"'{one_line(name)}'"


def unescaped(line: str) -> str:
    """Return the text that `one_line` shows as this line. A backslash of the text itself may look the same."""
    return _ESCAPED.sub(lambda found: json.loads(f'"{found[0]}"'), line)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if found[0] != "\x7f" else "\\u007f"


def _shown(found: re.Match[str]) -> str:
    return shown_name(found[0]) if "\udc80" <= found[0] <= "\udcff" else _escaped(found)
