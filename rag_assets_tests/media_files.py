"""Small valid recordings and pictures, a different one for each seed."""

import io
import struct
import wave
import zlib


def wav(seed: int = 0, num_frames: int = 400) -> bytes:
    """A mono recording of 8,000 frames per second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(8000)
        recording.writeframes(b"".join(struct.pack("<h", (n * (seed + 7)) % 999) for n in range(num_frames)))
    return file.getvalue()


def png(seed: int = 0) -> bytes:
    """A picture of one gray pixel."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((0, seed % 256)))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")


def jpeg() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (8, 8), 128).save(file, "JPEG")
    return file.getvalue()
