"""Subtitles (SubRip and WebVTT): the speech as paragraphs, each after its start time.

A cue is a line or two, cut where the picture changes. So cues are joined until the speaker changes, a pause comes, or
the paragraph is long. Rolling lines, repeated in the next cue, appear once.
"""

import re
from html import unescape

from rag_assets.errors import DocumentUnreadable
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

_PAUSE_SECONDS = 4.0
_LONG_PARAGRAPH_CHARACTERS = 600
_TIME = r"(?:(\d+):)?(\d\d?):(\d\d)[.,](\d{1,3})"
_TIMES = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t]+([^>\n]+)>")
_TAG = re.compile(r"</?[a-zA-Z0-9.][^>\n]*>|\{\\[^}\n]*\}")
_SPEAKER = re.compile(r"(?:- ?|>> ?)?([^\W\d][\w .'-]{0,38}): ")
_SENTENCE_END = (".", "!", "?", "…", '"', "”", "。", "！", "？")


class SubtitleParser:
    """Paragraphs of `[0:12:31] text`. No title."""

    name = "subtitles"
    version = "1"
    suffixes: tuple[str, ...] = (".srt", ".vtt")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        paragraphs: list[str] = []
        last_lines: list[str] = []
        last_end = speaker = None
        for begin, end, lines in _cues(decode_text(data)):
            fresh = [line for line in lines if line not in last_lines]
            last_lines = lines or last_lines
            if not fresh:
                last_end = end
                continue
            text = " ".join(fresh)
            named = _SPEAKER.match(text)
            speaks = named[1] if named else None
            goes_on = last_end is not None and begin - last_end < _PAUSE_SECONDS and speaks in (None, speaker)
            if goes_on and not _is_long(paragraphs[-1]):
                paragraphs[-1] += f" {text[named.end() :] if named else text}"
            else:
                paragraphs.append(f"[{_clock(begin)}] {text}")
                speaker = speaks
            last_end = end
        if not paragraphs and "-->" not in (text := decode_text(data)) and text.strip():
            raise DocumentUnreadable("corrupt", "It has no SubRip or WebVTT cues.")
        return ParsedDocument(text="\n\n".join(paragraphs))


def _cues(text: str) -> list[tuple[float, float, list[str]]]:
    """Return begin and end in seconds, and the displayed lines, without numbers, notes and styles."""
    found: list[tuple[float, float, list[str]]] = []
    is_inside = False
    for line in text.splitlines():
        if times := _TIMES.match(line):
            found.append((_seconds(*times.group(1, 2, 3, 4)), _seconds(*times.group(5, 6, 7, 8)), []))
            is_inside = True
        elif not line.strip():
            is_inside = False
        elif is_inside:
            shown = _TAG.sub("", _VOICE.sub(r"\1: ", line))
            if shown := unescape(shown).strip():
                found[-1][2].append(shown)
    return found


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def _is_long(paragraph: str) -> bool:
    over = len(paragraph) / _LONG_PARAGRAPH_CHARACTERS
    return over > 2 or (over > 1 and paragraph.endswith(_SENTENCE_END))
