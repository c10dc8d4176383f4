"""Recordings, transcribed by a model of the OpenAI API.

Here belongs the recognition of the format by its first bytes: the endpoint goes by the ending of the file name.
"""

import io
import json
import wave
from typing import TYPE_CHECKING

from rag_assets.parsers.media import AsksModel, ModelAnswer, billed, billed_tokens

if TYPE_CHECKING:
    import openai

_EBML = b"\x1a\x45\xdf\xa3"
_OGG_CODECS = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
# Variants of the MP4 container that no endpoint accepts: QuickTime and pictures.
_NO_MP4 = (b"qt  ", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ")


def _silence() -> bytes:
    """Return one second of silence. Endpoints refuse recordings under a tenth of a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(8000)
        recording.writeframes(bytes(2 * 8000))
    return file.getvalue()


class AudioParser(AsksModel):
    """One run of text, without speakers or times. Takes the sound of MP4 and WebM videos. No title."""

    name = "audio"
    version = "1"
    suffixes: tuple[str, ...] = (
        *(".wav", ".mp3", ".mpga", ".flac", ".ogg", ".oga", ".opus", ".m4a"),
        *(".mp4", ".webm"),
    )
    model_variable = "RAG_TRANSCRIPTION_MODEL"
    singular = "recording"
    plural = "recordings"
    formats = "WAV, MP3, FLAC, Ogg, MP4 or WebM"
    max_bytes = 25_000_000
    sample = _silence()

    def kind_of(self, data: bytes) -> str | None:
        """Return the file name ending that the endpoint expects for such bytes.

        A text may begin with the letters of a format. The numbers beside the letters tell the two apart.
        """
        if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
            return "wav"
        if data.startswith((b"fLaC\0", b"fLaC\x80")):
            return "flac"
        if data.startswith(b"OggS"):
            return "ogg" if data[28:36].startswith(_OGG_CODECS) else None
        if data[:2] == b"\0\0" and data[4:8] == b"ftyp":
            return None if data[8:12] in _NO_MP4 else "m4a" if data[8:11] == b"M4A" else "mp4"
        if data.startswith(_EBML):
            return "webm" if b"webm" in data[:64] else None
        return "mp3" if _is_mp3(data) else None

    def ask(self, client: "openai.OpenAI", model: str, data: bytes) -> ModelAnswer:
        """See `AsksModel`."""
        kind = self.required_kind(data)
        response = client.audio.transcriptions.with_raw_response.create(
            model=model, file=(f"recording.{kind}", data), response_format="json"
        )
        body = json.loads(response.content)
        text, usage = body["text"], body.get("usage")
        if not isinstance(text, str):
            raise TypeError
        details = usage.get("input_token_details") if isinstance(usage, dict) else None
        return ModelAnswer(
            text,
            audio_seconds=float(billed(usage, "seconds")),
            input_tokens=billed_tokens(usage, "input_tokens"),
            audio_tokens=billed_tokens(details, "audio_tokens"),
            output_tokens=billed_tokens(usage, "output_tokens"),
        )


def _is_mp3(data: bytes) -> bool:
    if data.startswith(b"ID3"):
        return len(data) >= 10 and data[3] in (2, 3, 4) and max(data[6:10]) < 0x80
    if len(data) < 4 or data[0] != 0xFF:
        return False
    # A frame of layer III with an existing bit rate and sample rate. A byte order mark is not one.
    return (
        data[1] & 0xE6 == 0xE2
        and data[1] & 0x18 != 0x08
        and 0x10 <= data[2] < 0xF0
        and data[2] & 0x0C != 0x0C
    )
