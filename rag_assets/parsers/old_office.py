"""OLE containers: Word, Excel and PowerPoint before 2007, and current documents with a password.

They are recognized only to give advice. None is read.
"""

from rag_assets.errors import DocumentUnreadable
from rag_assets.records import ParsedDocument

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# Names of streams, typical of each program. An Outlook message may hold any of them, as an attachment.
_MESSAGE = "__properties_version1.0".encode("utf-16-le")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_PROGRAMS = (
    ("WordDocument".encode("utf-16-le"), "a Word document", ".docx"),
    ("PowerPoint Document".encode("utf-16-le"), "a PowerPoint presentation", ".pptx"),
    ("Workbook\0".encode("utf-16-le"), "an Excel workbook", ".xlsx"),
    ("Book\0".encode("utf-16-le"), "an Excel workbook", ".xlsx"),
)
_KINDS_OF_TODAY = (".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm")


class OldOfficeParser:
    """Refuses every document, with advice."""

    name = "old_office"
    version = "1"
    suffixes: tuple[str, ...] = (".doc", ".xls", ".ppt")

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        if not data.startswith(OLE_MAGIC) or _MESSAGE in data:
            return False
        return _ENCRYPTED in data or any(stream in data for stream, _, _ in _PROGRAMS)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        refuse_ole(data, filename)
        raise DocumentUnreadable(
            "not_text", "It is not a document of a known program. Save it in a current format."
        )


def refuse_ole(data: bytes, filename: str) -> None:
    """Raise if this is an OLE container.

    Raises:
        DocumentUnreadable: `encrypted`, else `corrupt` if the name promises a current format, else `not_text`.
    """
    if not data.startswith(OLE_MAGIC):
        return
    if _ENCRYPTED in data:
        raise DocumentUnreadable("encrypted", "It needs a password. Store it without one.")
    found = ((what, suffix) for stream, what, suffix in _PROGRAMS if stream in data)
    what, suffix = next(found, ("an office document", ".docx, .xlsx or .pptx"))
    promises_more = filename.lower().endswith(_KINDS_OF_TODAY)
    raise DocumentUnreadable(
        "corrupt" if promises_more else "not_text",
        f"It is {what} in the format before 2007; save it as {suffix}.",
    )
