"""What a person has to know of a Redis server: version, memory, policy, persistence, and what will not do."""

from collections.abc import Mapping
from typing import Any

from rag_assets.errors import ConfigurationError, LedgerUnavailable
from rag_assets.ledgers.redis_connection import RedisConnection
from rag_assets.ledgers.redis_errors import MINIMUM_VERSION
from rag_assets.text.wording import counted

_MEGABYTE = 1_000_000
_NEARLY_FULL = 0.9
_RECOMMENDED = "volatile-lru"


def describe_server(connection: RedisConnection) -> list[str]:
    """Return the description, the warnings in capitals.

    Raises:
        ConfigurationError: the server cannot hold a ledger.
        LedgerUnavailable: the server does not answer, or takes no writes.
    """
    tls = "TLS" if connection.address.tls else "no TLS"
    try:
        found = connection.call("INFO")
    except ConfigurationError as error:
        if "info" not in str(error).lower():
            raise
        return [tls, "its version and memory are unknown, because the ACL of the user lacks +info"]
    _check(found, connection)
    return [f"Redis {found.get('redis_version', 'of unknown version')}", tls, *_memory(found), *_state(found)]


def _check(found: Mapping[str, Any], connection: RedisConnection) -> None:
    where = f"the ledger, Redis at {connection.address},"
    version = str(found.get("redis_version", ""))
    if version and _numbers(version) < _numbers(MINIMUM_VERSION):
        raise ConfigurationError(f"{where} is version {version}: {MINIMUM_VERSION} or later is needed")
    if str(found.get("cluster_enabled", "0")) == "1":
        raise ConfigurationError(
            f"{where} is a node of a Redis Cluster, which is not supported: use one server, or a master with Sentinels"
        )
    if found.get("role") == "slave":
        raise LedgerUnavailable(
            f"{where} is a replica: point REDIS_URL to the master, or set RAG_REDIS_SENTINELS"
        )
    if str(found.get("loading", "0")) == "1":
        raise LedgerUnavailable(f"{where} is still loading its data from disk: try again in a minute")


def _memory(found: Mapping[str, Any]) -> list[str]:
    used, most = int(found.get("used_memory", 0)), int(found.get("maxmemory", 0))
    policy = str(found.get("maxmemory_policy", "unknown"))
    if not most:
        return [
            f"{_megabytes(used)} in use",
            f"NO maxmemory is set: it may grow until its machine ends it. Set one, with `maxmemory-policy {_RECOMMENDED}`",
        ]
    lines = [f"{_megabytes(used)} of {_megabytes(most)} in use, policy {policy}"]
    if policy.startswith("allkeys"):
        lines.append(
            f"policy {policy} may EVICT approvals and the lease: they are then asked for again. Prefer {_RECOMMENDED}"
        )
    if used >= _NEARLY_FULL * most and policy == "noeviction":
        lines.append(
            f"NEARLY FULL: results are then no longer remembered, and approvals refused. Raise maxmemory, or set {_RECOMMENDED}"
        )
    if evicted := int(found.get("evicted_keys", 0)):
        lines.append(f"{counted(evicted, 'key')} evicted since its start")
    return lines


def _state(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    if found.get("rdb_last_bgsave_status", "ok") != "ok":
        lines.append("its last snapshot FAILED: it may refuse writes (MISCONF). See its log")
    return lines


def _megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:,.0f} MB"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
