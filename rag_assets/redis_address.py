"""The address of the Redis ledger, read from `REDIS_URL` and the Sentinel hosts. Its text names hosts, and never a password."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

_URL = re.compile(
    r"(?P<scheme>rediss?)://"
    r"(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?"
    r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?(?::(?P<port>\d{1,5}))?"
    r"(?:/(?P<db>\d{1,4})?)?"
)
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?")
_PORT, _SENTINEL_PORT = 6379, 26379
DEFAULT_MASTER = "mymaster"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis server, or the master of a Sentinel group.

    Attributes:
        host: of the server. With Sentinels, the name of the master.
        sentinels: their hosts and ports. Empty: one server.
    """

    host: str
    port: int
    db: int
    user: str
    password: str
    tls: bool
    sentinels: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        db = f", database {self.db}" if self.db else ""
        if not self.sentinels:
            return f"{_joined(self.host, self.port)}{db}"
        return f"{self.host} of the Sentinels {', '.join(_joined(*one) for one in self.sentinels)}{db}"

    def __repr__(self) -> str:
        return f"RedisAddress({self})"


def redis_address(url: str, sentinels: tuple[str, ...] = ()) -> RedisAddress | None:
    """Return the address, or None if neither is given.

    Args:
        url: `redis://user:password@host:port/database`, or `rediss://` for TLS. With Sentinels the host is the name of
            the master.
        sentinels: `host:port`.

    Raises:
        ValueError: one of them has another form. The message repeats no part of the URL.
    """
    if not url and not sentinels:
        return None
    found = _URL.fullmatch(url or "redis://")
    if found is None:
        raise ValueError(
            "expected `redis://user:password@host:6379/0`, or `rediss://` for TLS, found another form. Percent-encode special "
            "characters of the password, such as `%40` for `@`. Options after `?` are not read"
        )
    if sentinels and found["port"]:
        raise ValueError(
            "has a port, but RAG_REDIS_SENTINELS is set: with Sentinels its host is the name of the master, without a port"
        )
    return RedisAddress(
        host=(found["host"] or (DEFAULT_MASTER if sentinels else "localhost")).strip("[]"),
        port=_port(found["port"], _PORT),
        db=int(found["db"] or 0),
        # As in `redis-cli -u`: a word without a colon is a user.
        user=unquote(found["user"] or ""),
        password=unquote(found["password"] or ""),
        tls=found["scheme"] == "rediss",
        sentinels=tuple(map(sentinel_host, sentinels)),
    )


def sentinel_host(text: str) -> tuple[str, int]:
    """Return host and port of a Sentinel.

    Raises:
        ValueError: it has another form.
    """
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError("expected hosts such as `sentinel-1:26379,sentinel-2:26379`")
    return found["host"].strip("[]"), _port(found["port"], _SENTINEL_PORT)


def _port(text: str | None, default: int) -> int:
    port = int(text or default)
    if not 0 < port < 65536:
        raise ValueError("expected a port from 1 to 65535")
    return port


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
