"""The one text normalisation, applied to every extracted text before it is hashed.

Policy, version 1: Unicode NFC; line ends become a line feed; NUL, other control characters (except tab and
line feed), the byte order mark and lone surrogates are removed; trailing white space of a line goes; three
or more line feeds become two; the ends are trimmed. Letters, case and punctuation stay as they are.
"""

import re
import unicodedata

TEXT_NORMALIZATION_VERSION = 1

_REMOVED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_TRAILING_SPACE = re.compile(r"[ \t\u00a0]+(?=\n)")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalize_text(text: str) -> str:
    """Return the normalised text. Idempotent."""
    text = _LINE_ENDS.sub("\n", text)
    text = _REMOVED.sub("", text)
    text = unicodedata.normalize("NFC", text)
    text = _TRAILING_SPACE.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip()
