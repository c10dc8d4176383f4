"""Errors of Redis in words for a person: what failed, on which host, and what to do.

Redis repeats no password in its errors, and no value. Its text is quoted only where it names a command or a user.
"""

import re
import ssl

from rag_assets.errors import (
    ConfigurationError,
    LedgerNotWritable,
    LedgerUnavailable,
    RagAssetsError,
    causes_of,
)
from rag_assets.redis_address import RedisAddress

MINIMUM_VERSION = "6.2"
_IN_SCRIPT = re.compile(r"Error running script.* -([A-Z]+) ", re.S)
"""How Redis 6 wraps the error of a command in a script. Redis 7 does not."""
_UNREACHABLE = "Start it or check the network, then try again"
_NOT_WRITABLE = {
    "OOM": "is full: it reached its `maxmemory`, and its policy evicts nothing. Raise `maxmemory`, or set "
    "`maxmemory-policy volatile-lru`",
    "MISCONF": "takes no writes, because it could not save its last snapshot to disk. Free its disk, or see its log",
    "NOREPLICAS": "takes no writes, because too few of its replicas are connected (`min-replicas-to-write`)",
    "READONLY": "is a read-only replica. Point REDIS_URL to the master, or set RAG_REDIS_SENTINELS. During a failover, "
    "try again",
}
_CLUSTER = "is a node of a Redis Cluster, which is not supported: use one server, or a master with Sentinels"


def code_of(error: Exception) -> str:
    """Return the first word of an answer of Redis, such as `OOM`. redis-py cuts off some of them."""
    from redis import exceptions

    for kind, code in (
        (exceptions.OutOfMemoryError, "OOM"),
        (exceptions.ReadOnlyError, "READONLY"),
        (exceptions.NoPermissionError, "NOPERM"),
        (exceptions.BusyLoadingError, "LOADING"),
        (exceptions.MasterDownError, "MASTERDOWN"),
        (exceptions.ClusterDownError, "CLUSTERDOWN"),
        (exceptions.AskError, "MOVED"),
        (exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    ):
        if isinstance(error, kind):
            return code
    if "executing the script can't" in str(error):  # run a command, or access a key
        return "NOPERM"
    if found := _IN_SCRIPT.search(str(error)):
        return found[1]
    first = str(error).partition(" ")[0]
    return first if first.isupper() else ""


def is_of_another_type(error: object) -> bool:
    """Whether a key holds another type of value than ours: it is a foreign one."""
    return isinstance(error, Exception) and code_of(error) == "WRONGTYPE"


def translated(error: Exception, address: RedisAddress, timeout_seconds: float) -> RagAssetsError:
    """Return our error for one of redis-py, or of the connection."""
    from redis import exceptions

    where = f"the ledger, Redis at {address},"
    code, text = code_of(error), str(error)
    user = f"user {address.user}" if address.user else "the default user"
    if code in _NOT_WRITABLE:
        return LedgerNotWritable(f"{where} {_NOT_WRITABLE[code]}")
    if _is_about_tls(error, address):
        return _tls_error(error, where)
    if isinstance(error, exceptions.AuthenticationError) or code == "NOAUTH":
        return ConfigurationError(f"{where} {_login_problem(text, user, address)}")
    if code == "NOPERM":
        return ConfigurationError(
            f"{where} does not allow a command or a key to {user} ({_one_line(text)}). docs/redis.md lists what the ACL needs"
        )
    if code in ("MOVED", "CLUSTERDOWN", "CROSSSLOT"):
        return ConfigurationError(f"{where} {_CLUSTER}")
    if "unknown command" in text.lower():
        return ConfigurationError(
            f"{where} does not know a command of the ledger ({_one_line(text)}): Redis {MINIMUM_VERSION} or later is needed"
        )
    return _unavailable(error, code, text, where, address, timeout_seconds)


def _unavailable(
    error: Exception, code: str, text: str, where: str, address: RedisAddress, timeout_seconds: float
) -> RagAssetsError:
    from redis import exceptions, sentinel

    lower = text.lower()
    if code == "LOADING":
        return LedgerUnavailable(f"{where} is still loading its data from disk: try again in a minute")
    if code == "MASTERDOWN":
        return LedgerUnavailable(f"{where} is a replica without its master: try again after the failover")
    if code == "BUSY":
        return LedgerUnavailable(f"{where} is busy with a script of another client: try again")
    if "max number of clients" in lower:
        return LedgerUnavailable(
            f"{where} has its maximum number of clients connected. Raise `maxclients`, or close some, then try again"
        )
    if isinstance(error, sentinel.MasterNotFoundError):
        return _no_master(text, where, address)
    if "invalid db index" in lower or "out of range" in lower:
        return ConfigurationError(
            f"{where} has no such database: check the number after the host in REDIS_URL"
        )
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        # A server without TLS waits for the end of the first line.
        tls = ". If it does not speak TLS, write `redis://` in REDIS_URL" if address.tls else ""
        return LedgerUnavailable(f"{where} did not answer within {timeout_seconds:g} s{tls}. {_UNREACHABLE}")
    if "connection refused" in lower:
        return LedgerUnavailable(f"{where} refuses connections. {_UNREACHABLE}")
    if "name or service not known" in lower or "name resolution" in lower or "no address" in lower:
        return LedgerUnavailable(
            f"{where} has a host name without an address: check REDIS_URL, or the name server"
        )
    if isinstance(error, exceptions.ConnectionError | OSError):
        tls = "" if address.tls else ". If it expects TLS, write `rediss://` in REDIS_URL. Otherwise"
        return LedgerUnavailable(f"{where} closed the connection{tls or ','} try again")
    if isinstance(error, exceptions.InvalidResponse):
        return ConfigurationError(f"{where} does not answer as Redis does: check host and port in REDIS_URL")
    return LedgerUnavailable(f"{where} answered with an error ({code or type(error).__name__}): see its log")


def _login_problem(text: str, user: str, address: RedisAddress) -> str:
    if "without any password" in text or "no password is set" in text:
        return "has no password for its default user, but REDIS_URL holds one: remove it there, or set one in Redis"
    if not address.password:
        return "wants a password: add it to REDIS_URL, as in `redis://user:password@host:6379`"
    return f"refuses the login of {user}: check user and password in REDIS_URL"


def _no_master(text: str, where: str, address: RedisAddress) -> RagAssetsError:
    if (
        "Authentication" in text
        or "NOAUTH" in text
        or "WRONGPASS" in text
        or "invalid username" in text.lower()
    ):
        return ConfigurationError(
            f"{where} cannot be found: the Sentinels refuse the login. Check RAG_REDIS_SENTINEL_USER and "
            "RAG_REDIS_SENTINEL_PASSWORD"
        )
    if "CERTIFICATE" in text or "SSL" in text:
        return ConfigurationError(
            f"{where} cannot be found: no TLS connection to the Sentinels. With `rediss://` they need TLS too. Check "
            "REDIS_CA_FILE"
        )
    num_silent = text.count(" - ")
    if num_silent >= len(address.sentinels):
        return LedgerUnavailable(f"{where} cannot be found: no Sentinel answers. {_UNREACHABLE}")
    return LedgerUnavailable(
        f"{where} cannot be found: the Sentinels know no living master of this name. Check the host in REDIS_URL. During a "
        "failover, try again"
    )


def _is_about_tls(error: Exception, address: RedisAddress) -> bool:
    if address.tls:
        return any(isinstance(one, ssl.SSLError) for one in causes_of(error))
    # The server answered with a TLS alert.
    return "\\x15\\x03" in str(error)


def _tls_error(error: Exception, where: str) -> RagAssetsError:
    for one in causes_of(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return ConfigurationError(
                f"{where} has a certificate that this machine does not trust ({one.verify_message}). Set REDIS_CA_FILE to "
                "the certificates of its authority"
            )
        if isinstance(one, ssl.SSLError):
            if "WRONG_VERSION_NUMBER" in str(one) or "RECORD_LAYER" in str(one).upper().replace(" ", "_"):
                return ConfigurationError(
                    f"{where} does not speak TLS: write `redis://` in REDIS_URL, or turn TLS on there"
                )
            return ConfigurationError(
                f"{where} ended the TLS handshake ({one.reason or 'no reason given'}). It may want a certificate of the "
                "client: set `tls-auth-clients no` there"
            )
    return ConfigurationError(f"{where} expects TLS: write `rediss://` in REDIS_URL")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
