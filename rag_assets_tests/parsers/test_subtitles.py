import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.damage import outcomes_of_damage

_VTT = b"""WEBVTT - a talk

STYLE
::cue { color: red }

first
00:01.000 --> 00:02.000 align:start
<v.loud Anna>Hello there,
how are you?</v>

00:00:02.500 --> 00:00:04.000
<v Bob>Fine.

00:00:04.500 --> 00:00:05.000
And <i>you</i>? Tea &amp; cake

NOTE nobody sees this

01:10:00.000 --> 01:10:02.000
Later.
"""
_SRT = b"""1\r
00:00:01,000 --> 00:00:02,500\r
<font color="red">We begin</font>\r
\r
2\r
00:00:02,500 --> 00:00:04,000\r
{\\an8}with the plan.\r
"""


def test_cues_are_joined_until_the_speaker_changes_or_pauses() -> None:
    expected = "[0:00:01] Anna: Hello there, how are you?\n\n[0:00:02] Bob: Fine. And you? Tea & cake\n\n[1:10:00] Later."
    assert parse_document(_VTT, "a.vtt").text == expected
    assert parse_document(_SRT, "a.srt").text == "[0:00:01] We begin with the plan."


def test_rolling_lines_appear_once() -> None:
    cues = [["one"], ["one", "two"], ["two", "three"], ["three"]]
    source = "\n\n".join(
        f"00:00:0{n}.000 --> 00:00:0{n + 1}.000\n" + "\n".join(lines) for n, lines in enumerate(cues)
    )
    assert parse_document(source.encode(), "a.vtt").text == "[0:00:00] one two three"


def test_long_speech_is_cut_at_the_end_of_a_sentence() -> None:
    source = "\n\n".join(
        f"{n}\n00:{n // 60:02}:{n % 60:02},000 --> 00:{n // 60:02}:{n % 60:02},900\nSentence number {n} of them."
        for n in range(100)
    )
    paragraphs = parse_document(source.encode(), "a.srt").text.split("\n\n")
    assert len(paragraphs) == 5
    assert all(paragraph.endswith("of them.") for paragraph in paragraphs)


def test_a_file_without_cues_is_corrupt() -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(b"just words", "a.srt")
    assert caught.value.reason == "corrupt"


@pytest.mark.parametrize(("data", "filename"), [(_VTT, "a.vtt"), (_SRT, "a.srt")])
def test_damage_gives_text_or_one_kind_of_error(data: bytes, filename: str) -> None:
    assert "text" in outcomes_of_damage(data, filename)
