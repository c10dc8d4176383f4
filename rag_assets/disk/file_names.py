"""Names of files that are no valid UTF-8. Ids, paths and messages have to be.

Undecodable bytes are shown as `%E9`. A percent sign that looks like such a byte is escaped too, so that no two names look
the same.
"""

import os
import re

_NEEDS_ESCAPE = re.compile("[\udc80-\udcff]|%(?=[89A-F][0-9A-F]|25)")
_ESCAPE = re.compile("%([89A-F][0-9A-F]|25)")


def shown_name(name: str) -> str:
    """Return a name or path, as Python decodes it from the disk, in valid Unicode."""
    return _NEEDS_ESCAPE.sub(lambda found: f"%{os.fsencode(found[0])[0]:02X}", name)


def name_on_disk(shown: str) -> str:
    """Return the name that `shown_name` shows like this."""
    return _ESCAPE.sub(lambda found: os.fsdecode(bytes.fromhex(found[1])), shown)


def typed_name(argument: str) -> str:
    """Return an argument of a command line in valid Unicode. A shell passes the bytes of a file's name."""
    return argument if argument.isprintable() or not _is_undecodable(argument) else shown_name(argument)


def _is_undecodable(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)
