"""The only text normalization, applied to every extracted text before it is hashed.

Policy, version 1:

- Line ends become a line feed. Surrogate pairs become their character.
- NUL, other control characters (except tab and line feed), the byte order mark and lone surrogates are removed.
- After 100 combining marks in a row, further marks are removed.
- Unicode NFC.
- Trailing white space of a line is removed. Three or more line feeds become two. The ends are trimmed.

Letters, case and punctuation do not change.
"""

import re
import unicodedata

TEXT_NORMALIZATION_VERSION = 1

_MAX_COMBINING_MARKS = 100

# Each pattern begins with a literal or one set of characters. The search for these is five times as fast as for an
# alternation or a repetition, and most texts hold hardly any match.
_REMOVED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff]")
_LINE_ENDS = re.compile("[\r\x0b\x0c\x85\u2028\u2029]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# The look-behind and the possessive quantifier keep a long run of blanks linear: without them 20,000 spaces
# before a letter took 2.4 s, and a megabyte of them did not finish.
_TRAILING_SPACE = re.compile(r"(?<![ \t\u00a0])[ \t\u00a0]++(?=\n)")
_SPACE_BEFORE_LINE_END = (" \n", "\t\n", "\u00a0\n")
_BLANK_LINES = re.compile(r"\n\n\n+")
# No combining mark is a word character, white space or ASCII, so every long run of them is inside a match.
_MAYBE_MARKS = re.compile(rf"[^\w\s\x00-\x7f][^\w\s\x00-\x7f]{{{_MAX_COMBINING_MARKS},}}")


def normalize_text(text: str) -> str:
    """Return the normalized text. Idempotent, and linear in the length of the text."""
    text = _LINE_ENDS.sub("\n", text.replace("\r\n", "\n"))
    text = _SURROGATE_PAIR.sub(_join_surrogates, text)
    text = _REMOVED.sub("", text)
    # Python puts combining marks in order with an insertion sort: 80,000 of them in a row took 5 s. NFC may
    # turn one mark into two, hence the second cut. A prefix of NFC text is NFC.
    text = _MAYBE_MARKS.sub(_cut_marks, text)
    text = unicodedata.normalize("NFC", text)
    text = _MAYBE_MARKS.sub(_cut_marks, text)
    if any(space in text for space in _SPACE_BEFORE_LINE_END):
        text = _TRAILING_SPACE.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip()


def _join_surrogates(match: re.Match[str]) -> str:
    return match[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _cut_marks(match: re.Match[str]) -> str:
    kept: list[str] = []
    marks_in_a_row = 0
    for character in match[0]:
        marks_in_a_row = marks_in_a_row + 1 if unicodedata.combining(character) else 0
        if marks_in_a_row <= _MAX_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)
