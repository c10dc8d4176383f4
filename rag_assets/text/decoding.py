"""Bytes to text for all text formats.

Here belongs the decision whether bytes are text at all, and in which encoding. The rules in their order: a byte order
mark, UTF-16 by the position of its NUL bytes, strict UTF-8, UTF-8 with a few broken bytes, the declaration of an HTML
page, a guess.
"""

import codecs
import re

from rag_assets.errors import DocumentUnreadable
from rag_assets.text.wording import counted

# Longer marks first: UTF-32's begins with UTF-16's.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC_NUMBERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF"),
    (b"%!PS", "a PostScript program"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x7fELF", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\xd0\xcf\x11\xe0", "an old office document"),
)
# Control characters in ordinary texts: tab, line ends, backspace (man pages), SO, SI and ESC (ISO 2022, colors),
# and the Ctrl-Z that ended DOS files.
_TEXT_CONTROLS = b"\b\t\n\v\f\r\x0e\x0f\x1a\x1b"
_OTHER_CONTROLS = bytes(set(range(32)) - set(_TEXT_CONTROLS))
_MAX_CONTROL_SHARE = 0.02
# Wrong guesses for short Western texts ("Año" as Nordic). These encodings are out of use.
_UNLIKELY_GUESSES = frozenset(("utf-8", *(f"iso8859-{part}" for part in (3, 4, 10, 13, 14, 16))))
# With equal scores the first wins.
_WESTERN_ENCODINGS = ("cp1252", "mac_roman", "cp850")
_WESTERN_LETTER = re.compile("[äöüßÄÖÜéèêëÉàâáãåçñíìîïóòôõúùûæøœÅÆØ]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_NO_LETTER_IN_WORD = re.compile(
    r"(?<=[a-z])[^\x00-\x7f\w’‘–—\xad·]+(?=[a-z])|[\ufffd\u2500-\u259f÷³]|(?<=[a-z])[ŠŽŸ†‡ÄÖÜÉÅÆØÇ]"
)
_SAMPLE_BYTES = 4_096
_DECLARATION = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE)
_NOT_ASCII = re.compile(rb"[\x1b\x80-\xff]")


def decode_text(data: bytes, *, html: bool = False) -> str:
    """Return the text, without a byte order mark.

    Raises:
        DocumentUnreadable: `not_text`.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode_marked(data, encoding)
    if text := _unmarked_utf16(data):
        return text
    _reject_binary(data)
    # ISO 2022 (Japanese mail) is ASCII with escape sequences, and would pass for UTF-8.
    if b"\x1b" in data:
        return _decode_guess(data, html)
    try:
        return data.decode()
    except UnicodeDecodeError:
        mended = data.decode(errors="replace")
    broken = mended.count("\ufffd")
    non_ascii = len(mended.encode(errors="replace")) - len(mended)  # each adds one to three bytes
    if non_ascii > 20 * broken:
        return mended
    return _decode_guess(data, html)


def _decode_marked(data: bytes, encoding: str) -> str:
    if encoding == "utf-8-sig":
        _reject_binary(data)
        return data.decode(encoding, "replace")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise DocumentUnreadable(
            "not_text", f"It begins like {encoding} text but is not valid {encoding}."
        ) from None
    if "\x00" in text:
        raise DocumentUnreadable("not_text", f"It begins like {encoding} text but holds NUL characters.")
    return text


def _unmarked_utf16(data: bytes) -> str:
    """Return UTF-16 text with mostly every second byte NUL, as in all but Asian languages, "" for other bytes."""
    even, odd = data[:_SAMPLE_BYTES:2], data[1:_SAMPLE_BYTES:2]
    for encoding, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if len(high) == len(low) > 2 and high.count(0) * 2 > len(high) and not low.count(0):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                return ""
            return "" if _CONTROL.search(text) else text
    return ""


def _reject_binary(data: bytes) -> None:
    for magic, what in _MAGIC_NUMBERS:
        if data.startswith(magic):
            raise DocumentUnreadable("not_text", f"It is {what} by its first bytes, despite its name.")
    if b"\x00" in data:
        raise DocumentUnreadable("not_text", "It holds NUL bytes but no byte order mark of UTF-16 or UTF-32.")
    controls = len(data) - len(data.translate(None, _OTHER_CONTROLS))
    if controls > _MAX_CONTROL_SHARE * len(data):
        detail = f"It holds {counted(controls, 'control character')} in {counted(len(data), 'byte')}."
        raise DocumentUnreadable("not_text", detail)


def _decode_guess(data: bytes, html: bool) -> str:
    from resiliparse.parse.encoding import (  # pyright: ignore[reportMissingModuleSource]
        detect_encoding,
        map_encoding_to_html5,
    )

    declared = _DECLARATION.search(data, 0, 4096) if html else None
    encoding = map_encoding_to_html5(declared[1].decode(), fallback_utf8=False) if declared else None
    if encoding is None or encoding.startswith("utf"):  # UTF-8 and UTF-16 have been ruled out above
        high = _NOT_ASCII.search(data)
        start = high.start() if high else 0
        encoding = detect_encoding(data[max(start - 1_000, 0) : start + 100_000])
        if encoding is None or encoding in _UNLIKELY_GUESSES or encoding == "cp1252":
            encoding = _likely_encoding(data[max(start - 1_000, 0) : start + 100_000])
    try:
        return data.decode(encoding, "replace")
    except LookupError:  # an encoding unknown to Python
        return data.decode("cp1252", "replace")


def _likely_encoding(data: bytes) -> str:
    """Return the best encoding where the detector is unreliable: Korean, or one of the old Western encodings."""
    try:
        korean = data.decode("euc_kr")
    except UnicodeDecodeError:
        korean = ""
    foreign = [character for character in korean if not character.isascii()]
    if len(foreign) > 3 and sum("\uac00" <= character <= "\ud7a3" for character in foreign) * 2 > len(
        foreign
    ):
        return "euc_kr"
    return max(_WESTERN_ENCODINGS, key=lambda encoding: _western_score(data.decode(encoding, "replace")))


def _western_score(text: str) -> int:
    """Return the number of Western European letters, less misplaced characters in the middle of words."""
    return len(_WESTERN_LETTER.findall(text)) - 2 * len(_NO_LETTER_IN_WORD.findall(text))
