"""The answers of a PostgreSQL server in trouble: it starts up, or its disk is full."""

import struct

_PLAIN_PLEASE = (80877103, 80877104)
"""Requests for an encrypted connection, by TLS and by GSSAPI."""
_PROTOCOL_3 = 3


def postgres_error(request: bytes) -> bytes:
    """Refuse a login as during the start of the server, and any statement as with a full disk."""
    code = struct.unpack(">I", request[4:8])[0] if len(request) >= 8 else 0
    if code in _PLAIN_PLEASE:
        return b"N"
    if code >> 16 == _PROTOCOL_3:
        return _message("FATAL", "57P03", "the database system is starting up")
    full = _message("ERROR", "53100", "could not extend file: No space left on device")
    return full + b"Z" + struct.pack(">I", 5) + b"I"


def _message(severity: str, code: str, text: str) -> bytes:
    fields = f"S{severity}\0V{severity}\0C{code}\0M{text}\0\0".encode()
    return b"E" + struct.pack(">I", len(fields) + 4) + fields
