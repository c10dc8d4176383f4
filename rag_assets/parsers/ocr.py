"""OCR of scanned pages by the program tesseract (Debian: `tesseract-ocr`).

Here belong the rendering of a page and its transfer. The program is a child of the parsing process, has the same
limits, and writes nothing to the disk.
"""

import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentUnreadable

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

_DOTS_PER_INCH = 300
_MOST_PIXELS_A_SIDE = 4_000  # A4 at 300 dots per inch has 3,508


@cache
def is_installed() -> bool:
    """Return whether tesseract is installed."""
    return shutil.which("tesseract") is not None


def recognize_page(page: "PdfPage") -> str:
    """Return the text of a page by its looks, in any installed language.

    Raises:
        DocumentUnreadable: `too_slow` or `corrupt`, after a failure of tesseract.
    """
    inches = max(page.get_size()) / 72
    dots_per_inch = min(_DOTS_PER_INCH, _MOST_PIXELS_A_SIDE / max(inches, 1 / 72))
    scale = dots_per_inch / 72
    bitmap = page.render(scale=scale, grayscale=True)  # pyright: ignore[reportArgumentType]  by its default, 1
    width, height, stride = bitmap.width, bitmap.height, bitmap.stride
    pixels = memoryview(bitmap.buffer)
    rows = b"".join(pixels[row * stride : row * stride + width] for row in range(height))
    bitmap.close()
    return _run(
        "-", "-", "-l", _languages(), "--dpi", f"{dots_per_inch:.0f}", picture=_pgm(width, height, rows)
    )


def _pgm(width: int, height: int, pixels: bytes) -> bytes:
    return b"P5 %d %d 255\n%s" % (width, height, pixels)


@cache
def _languages() -> str:
    names = _run("--list-langs").splitlines()[1:]
    return "+".join(sorted(name for name in names if name != "osd" and "/" not in name))


def _run(*arguments: str, picture: bytes = b"") -> str:
    done = subprocess.run(  # noqa: S603  no part of it comes from a document
        ["tesseract", *arguments],  # noqa: S607  the user decides where it is
        input=picture,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode < 0:  # a signal, usually of the time limit
        raise DocumentUnreadable(
            "too_slow", "OCR of a page takes too long. Split the file, or run OCR on it first."
        )
    if done.returncode:
        raise DocumentUnreadable("corrupt", "OCR of a page failed. Run OCR on the file first.")
    return done.stdout.decode(errors="replace")
