"""Recordings and pictures are recognized, and never opened by a parsing process."""

import pytest

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets.parsers.image import ImageParser
from rag_assets.parsers.registry import parser_named, recognize, version_of
from rag_assets_tests.media_files import jpeg, png, wav
from rag_assets_tests.parsers.archive_files import make_zip

RECORDINGS = {
    "wav": wav(),
    "wav of more than 4 GB": b"RF64\xff\xff\xff\xffWAVEds64",
    "flac": b"fLaC\0\0\0\x22",
    "opus": b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\x01",
    "m4a": b"\0\0\0\x20ftypM4A \0\0\0\0",
    "mp4": b"\0\0\0\x20ftypisom\0\0\x02\0",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm",
    "mp3 with a tag": b"ID3\x04\0\0\0\0\x0f\x76" + bytes(20),
    "mp3": b"\xff\xfb\x90\x64" + bytes(400),
    "mp3 of a low rate": b"\xff\xf3\x40\xc4" + bytes(200),
}
PICTURES = {
    "png": png(),
    "jpeg": jpeg(),
    "gif": b"GIF89a\x01\0\x01\0",
    "webp": b"RIFF\x24\0\0\0WEBPVP8 ",
}
OTHERS = {
    "words": b"words",
    "a text in UTF-16": "words".encode("utf-16"),
    "a text about tags": b"ID3 tags are kept at the beginning of a file.",
    "a text about MP4": b"The ftyp box of a file names its brand.",
    "a text about FLAC": b"fLaC is what such a file begins with.",
    "a text about GIF": b"GIF89a is the later version of the format.",
    "a video in Ogg": b"OggS\0\x02" + bytes(20) + b"\x01\x2a" + b"\x80theora\x03",
    "a picture of a telephone": b"\0\0\0\x20ftypheic\0\0\0\0",
    "a QuickTime video": b"\0\0\0\x14ftypqt  \0\0\0\0",
    "a Matroska video": b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska",
    "another RIFF file": b"RIFF\x24\0\0\0AVI LIST",
    "AAC": b"\xff\xf1\x50\x80\x01\x3f\xfc",
    "a reserved MPEG version": b"\xff\xeb\x90\x64",
    "an invalid bit rate": b"\xff\xfb\xf0\x64",
    "an invalid sample rate": b"\xff\xfb\x9c\x64",
}


@pytest.mark.parametrize("kind", RECORDINGS)
@pytest.mark.parametrize("filename", ["talk", "talk.txt", "talk.md", "talk.jpg"])
def test_a_recording_is_recognized_by_its_bytes(kind: str, filename: str) -> None:
    assert recognize(RECORDINGS[kind], filename).name == "audio"


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("filename", ["chart", "chart.txt", "chart.pdf", "chart.mp3"])
def test_a_picture_is_recognized_by_its_bytes(kind: str, filename: str) -> None:
    assert recognize(PICTURES[kind], filename).name == "image"


@pytest.mark.parametrize("kind", OTHERS)
def test_formats_unknown_to_the_model_are_not_sent(kind: str) -> None:
    assert recognize(OTHERS[kind], "file").name not in ("audio", "image")


@pytest.mark.parametrize("data", [wav(), png()], ids=["recording", "picture"])
def test_parsing_never_opens_recordings_and_pictures(data: bytes) -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        parse_document(data, "file")
    assert caught.value.reason == "not_text"


def test_archives_leave_out_recordings_and_pictures() -> None:
    archive = make_zip({"notes.md": b"# Notes", "a.png": png(), "b.wav": wav(), "scan": png()})
    text = parse_document(archive, "all.zip").text
    assert text == "# notes.md\n\n## Notes\n\n# Could not be read\n\nscan (not_text)"


def test_a_new_prompt_does_not_change_the_version_of_archives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = parser_named("archive")
    assert archive is not None
    before = version_of(archive)
    monkeypatch.setattr(ImageParser, "version", "another")
    assert version_of(archive) == before
