"""Who holds production, since when and why, as parts of names of aliases.

Aliases are what a server changes together with production. So the note is there exactly while the hold is, and of two
people at once it is the note of the faster one.
"""

import base64
import json
from collections.abc import Mapping

from rag_assets.vector_stores.production_state import Hold

_MAX_CHARACTERS = 80
"""Of one part: with the names around it, an alias stays below 255 characters."""


def note_of(hold: Hold) -> dict[int, str]:
    """Return the note in parts: number -> letters, digits, `-` and `_`."""
    fields = json.dumps([hold.generation, hold.since, hold.by, hold.reason], ensure_ascii=False)
    text = base64.urlsafe_b64encode(fields.encode("utf-8", "replace")).decode("ascii").rstrip("=")
    parts = range(0, len(text), _MAX_CHARACTERS)
    return {number: text[start : start + _MAX_CHARACTERS] for number, start in enumerate(parts)}


def hold_from(generation: str, note: Mapping[int, str]) -> Hold:
    """Return the hold of a generation with its note.

    Args:
        note: in parts. Without one, or with the note of another hold, the circumstances are unknown: a version without
            notes neither writes nor deletes them.
    """
    text = "".join(note[number] for number in sorted(note))
    try:
        fields = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
        of, since, by, reason = (str(field) for field in fields)
    except (ValueError, TypeError):
        return Hold(generation)
    return Hold(generation, since, by, reason) if of == generation else Hold(generation)
