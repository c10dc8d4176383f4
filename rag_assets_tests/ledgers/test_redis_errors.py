"""Every way in which Redis refuses: the error names the host, the problem and the remedy, in a bounded time, and no secret."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.errors import ConfigurationError, LedgerNotWritable, LedgerUnavailable, RagAssetsError
from rag_assets.ledgers.base import Ledger, ParseRecord
from rag_assets.ledgers.redis import RedisLedger
from rag_assets.ledgers.registry import build_ledger
from rag_assets.settings import load_settings
from rag_assets_tests.certificates import self_signed_certificate
from rag_assets_tests.documents import corpus, vector_of
from rag_assets_tests.ledgers.acl import acl_rules
from rag_assets_tests.redis_servers import RedisServer, free_port, has_tls, redis_error, redis_server
from rag_assets_tests.troubled_proxy import Trouble, TroubledProxy

PASSWORD = "open-sesame-of-a-test"
KEY = b"k" * 32
PARSE = ParseRecord("file:///a.md", "1", "raw", "markdown", "1", "content", "Title")


def ledger_at(url: str, **settings: object) -> Ledger:
    return build_ledger(load_settings(redis_url=url, redis_timeout_seconds=1, **settings), "kb")


def error_of(ledger: Ledger) -> RagAssetsError:
    """Return the error of a look at the ledger, and check what holds for all."""
    began = time.monotonic()
    with pytest.raises(RagAssetsError) as raised:
        ledger.documents("g1")
    assert time.monotonic() - began < 20
    ledger.close()
    message = str(raised.value)
    assert PASSWORD not in message
    assert "127.0.0.1" in message or "no-such-host" in message or "mymaster" in message
    return raised.value


@pytest.fixture(scope="module")
def troubled(redis: RedisServer) -> Iterator[TroubledProxy]:
    proxy = TroubledProxy(redis.port, redis_error("LOADING Redis is loading the dataset in memory"))
    yield proxy
    proxy.close()


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        ("LOADING Redis is loading the dataset in memory", LedgerUnavailable, "still loading its data"),
        ("READONLY You can't write against a read only replica.", LedgerNotWritable, "RAG_REDIS_SENTINELS"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's", LedgerNotWritable, "last snapshot"),
        ("OOM command not allowed when used memory > 'maxmemory'.", LedgerNotWritable, "Raise `maxmemory`"),
        ("NOREPLICAS Not enough good replicas to write.", LedgerNotWritable, "replicas"),
        ("MASTERDOWN Link with MASTER is down", LedgerUnavailable, "after the failover"),
        ("BUSY Redis is busy running a script.", LedgerUnavailable, "busy with a script"),
        ("ERR max number of clients reached", LedgerUnavailable, "`maxclients`"),
        ("CLUSTERDOWN The cluster is down", ConfigurationError, "Redis Cluster, which is not supported"),
        ("MOVED 3999 127.0.0.1:6381", ConfigurationError, "Redis Cluster, which is not supported"),
        ("NOAUTH Authentication required.", ConfigurationError, "wants a password"),
        ("WRONGPASS invalid username-password pair or user is disabled.", ConfigurationError, "password"),
        (
            "NOPERM User app has no permissions to run the 'hget' command",
            ConfigurationError,
            "'hget' command",
        ),
        ("ERR unknown command 'HGET', with args beginning with:", ConfigurationError, "6.2 or later"),
        ("ERR DB index is out of range", ConfigurationError, "no such database"),
        ("ERR something that no version says", LedgerUnavailable, "see its log"),
    ],
)
def test_an_error_of_redis_is_translated(
    redis: RedisServer, answer: str, kind: type[RagAssetsError], says: str
) -> None:
    proxy = TroubledProxy(redis.port, redis_error(answer))
    proxy.begin("error")
    error = error_of(ledger_at(f"redis://127.0.0.1:{proxy.port}"))
    assert type(error) is kind
    assert says in str(error)
    proxy.close()


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ("refused", "refuses connections. Start it"),
        ("hanging", "did not answer within 1 s"),
        ("dropped after send", "closed the connection"),
    ],
)
def test_no_answer_is_an_error_in_a_bounded_time(
    troubled: TroubledProxy, trouble: Trouble, says: str
) -> None:
    ledger = ledger_at(f"redis://:{PASSWORD}@127.0.0.1:{troubled.port}")
    troubled.begin(trouble)
    error = error_of(ledger)
    troubled.end()
    assert type(error) is LedgerUnavailable
    assert says in str(error)


def test_a_connection_closed_while_idle_is_opened_again(redis: RedisServer, troubled: TroubledProxy) -> None:
    ledger = ledger_at(f"redis://127.0.0.1:{troubled.port}")
    assert ledger.documents("g1") is None
    troubled.end()  # cuts it
    assert ledger.documents("g1") is None
    ledger.close()


def test_a_host_without_an_address_is_named() -> None:
    error = error_of(ledger_at("redis://no-such-host.invalid:6379"))
    assert "check REDIS_URL" in str(error)


def test_another_service_is_no_redis(tmp_path: Path) -> None:
    proxy = TroubledProxy(0, lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with redis_server(tmp_path) as server:
        proxy._to_port = server.port
        proxy.begin("error")
        error = error_of(ledger_at(f"redis://127.0.0.1:{proxy.port}"))
    proxy.close()
    assert "check host and port" in str(error)


# Logins


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password, and a user with exactly the rights in the page."""
    rules = " ".join(acl_rules())
    with redis_server(
        tmp_path_factory.mktemp("guarded"),
        f"requirepass {PASSWORD}-of-the-administrator",
        f"user rag on >{PASSWORD} ~rag:kb:* {rules}",
        f"user reader on >{PASSWORD} ~rag:kb:* +@read -@dangerous",
        f"user elsewhere on >{PASSWORD} ~rag:another:* {rules}",
    ) as server:
        yield server


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ("", "wants a password"),
        ("rag:wrong@", "refuses the login of user rag: check user and password"),
        (":wrong@", "refuses the login of the default user"),
        ("nobody:wrong@", "refuses the login of user nobody"),
        (f"elsewhere:{PASSWORD}@", "does not allow a command or a key to user elsewhere"),
    ],
)
def test_a_refused_login_fails_at_once_and_names_the_user(
    guarded: RedisServer, login: str, says: str
) -> None:
    error = error_of(ledger_at(f"redis://{login}127.0.0.1:{guarded.port}"))
    assert type(error) is ConfigurationError, "a retry cannot help"
    assert says in str(error)


def test_a_password_for_a_server_without_one_is_named(redis: RedisServer) -> None:
    error = error_of(ledger_at(f"redis://:{PASSWORD}@127.0.0.1:{redis.port}"))
    assert type(error) is ConfigurationError
    assert "has no password" in str(error)


def test_a_user_with_the_rights_in_the_page_can_do_everything(guarded: RedisServer) -> None:
    ledger = ledger_at(f"redis://rag:{PASSWORD}@127.0.0.1:{guarded.port}")
    exercise(ledger)
    exercise_reading(ledger)
    ledger.close()


def exercise_reading(ledger: Ledger) -> None:
    """Read as `status` and `plan` do, and as a refresh does while nothing can be written."""
    assert isinstance(ledger, RedisLedger)
    assert ledger._read_only(["rag:kb:absent"]) == [None]


@pytest.mark.parametrize("rule", acl_rules())
def test_no_right_in_the_page_is_needless(guarded: RedisServer, rule: str) -> None:
    admin = guarded.client(password=f"{PASSWORD}-of-the-administrator")
    without = [one for one in acl_rules() if one != rule]
    admin.execute_command("ACL", "SETUSER", "less", "reset", "on", f">{PASSWORD}", "~rag:kb:*", *without)
    ledger = ledger_at(f"redis://less:{PASSWORD}@127.0.0.1:{guarded.port}")
    if rule == "+info":
        assert "lacks +info" in ledger.describe_server()[1]
    else:
        with pytest.raises(ConfigurationError, match="does not allow a command or a key to user less"):
            exercise(ledger)
            exercise_reading(ledger)
    ledger.close()


def exercise(ledger: Ledger) -> None:
    """Call everything."""
    from rag_assets.ledgers.base import Spending
    from rag_assets.records import Refusal

    bad = ParseRecord("file:///c.pdf", "1", "raw3", "pdf", "1", None, "", "corrupt", "It is torn.")
    ledger.put_parses([PARSE, bad])
    assert ledger.parses([PARSE.source_uri]) == {PARSE.source_uri: PARSE}
    assert ledger.parse_of_bytes("raw", "markdown", "1") == PARSE
    assert ledger.forget_quarantined([bad.source_uri]) == {bad.source_uri}
    for generation in ("g1", "g1", "g2"):
        ledger.put_documents(generation, corpus({"a": "1"}))
    assert ledger.documents("g1") == corpus({"a": "1"})
    ledger.put_vectors({KEY: vector_of("a")})
    assert ledger.vectors([KEY]).keys() == {KEY}
    ledger.put_signatures({KEY: b"a"})
    assert ledger.signatures([KEY]) == {KEY: b"a"}
    ledger.put_refusals([Refusal("0" * 16, "deletion", "twelve documents", ("one",), ())])
    ledger.approve("0" * 16)
    ledger.approve("1" * 16)
    assert ledger.approved_tokens() == {"0" * 16, "1" * 16}
    ledger.add_spending("run", Spending("documents", "model", 1, 0.5))
    assert ledger.spending().keys() == {"run"}
    ledger.prune(["g2"])
    assert ledger.approved_tokens() == {"0" * 16}
    ledger.end_approvals(["0" * 16])
    assert ledger.refusals() == {}
    ledger.forget_spending(["run"])
    assert ledger.acquire_lease("run", "host", 1) is None
    assert ledger.renew_lease("run", 1)
    assert ledger.lease_holder() is not None
    ledger.release_lease("run")
    assert ledger.lease_holder() is None
    assert [len(batch) for batch in ledger.all_vectors()] == [1]
    ledger.erase(source_uris=[PARSE.source_uri])
    assert len(ledger.describe_server()) > 2  # type: ignore[attr-defined]


# TLS


@pytest.fixture(autouse=True)
def own_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a context for each connection. The tests share one, and redis-py adds certificates to it."""
    shared = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", getattr(shared, "__wrapped__", shared))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    certificate = self_signed_certificate(folder / "certificate.pem")
    if not has_tls():
        pytest.skip("this redis-server has no TLS")
    options = ["tls-port PORT", f"tls-cert-file {certificate}", f"tls-key-file {certificate}"]
    with redis_server(folder, *options, f"tls-ca-cert-file {certificate}", "tls-auth-clients no") as server:
        yield server, certificate


def test_a_ledger_works_over_tls(secured: tuple[RedisServer, Path]) -> None:
    server, certificate = secured
    ledger = ledger_at(f"rediss://127.0.0.1:{server.port}", redis_ca_file=certificate)
    exercise(ledger)
    assert "TLS" in ledger.describe_server()  # type: ignore[attr-defined]
    ledger.close()


def test_an_unknown_authority_is_refused(secured: tuple[RedisServer, Path]) -> None:
    error = error_of(ledger_at(f"rediss://127.0.0.1:{secured[0].port}"))
    assert type(error) is ConfigurationError
    assert "does not trust" in str(error)
    assert "REDIS_CA_FILE" in str(error)


def test_a_certificate_for_another_host_is_refused(secured: tuple[RedisServer, Path]) -> None:
    server, certificate = secured
    ledger = ledger_at(f"rediss://localhost:{server.port}", redis_ca_file=certificate)
    with pytest.raises(ConfigurationError, match="does not trust"):
        ledger.documents("g1")
    ledger.close()


def test_a_server_with_tls_wants_rediss(secured: tuple[RedisServer, Path]) -> None:
    error = error_of(ledger_at(f"redis://:{PASSWORD}@127.0.0.1:{secured[0].port}"))
    assert "`rediss://`" in str(error)


def test_a_server_without_tls_wants_redis(redis: RedisServer) -> None:
    error = error_of(ledger_at(f"rediss://:{PASSWORD}@127.0.0.1:{redis.port}"))
    assert "`redis://`" in str(error)


def test_a_file_without_certificates_is_named(redis: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "empty.pem"
    file.write_text("")
    for path in (file, tmp_path / "absent.pem"):
        with pytest.raises(ConfigurationError, match="REDIS_CA_FILE is unusable"):
            ledger_at(f"rediss://127.0.0.1:{free_port()}", redis_ca_file=path)


# URLs


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{PASSWORD}@127.0.0.1",
        f"redis://:{PASSWORD}@127.0.0.1:port",
        f"redis://:{PASSWORD}@127.0.0.1:99999",
        f"redis://:{PASSWORD}@127.0.0.1/zero",
        f"redis://:{PASSWORD}@127.0.0.1?ssl_cert_reqs=none",
        f"redis://:{PASSWORD}@127.0.0.1/0?db=3",
        f"redis://:{PASSWORD}/with/slashes@127.0.0.1",
        f"unix:///run/{PASSWORD}",
        PASSWORD,
    ],
)
def test_a_malformed_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL: expected") as raised:
        load_settings(redis_url=url)
    assert PASSWORD not in str(raised.value)


def test_special_characters_of_a_password_are_decoded(tmp_path: Path) -> None:
    with redis_server(tmp_path, 'requirepass "p@ss:w/rd?#%"') as server:
        ledger = ledger_at(f"redis://:p%40ss%3Aw%2Frd%3F%23%25@127.0.0.1:{server.port}/3")
        ledger.put_vectors({KEY: vector_of("a")})
        assert ledger.vectors([KEY]).keys() == {KEY}
        assert server.client(password="p@ss:w/rd?#%", db=3).dbsize() == 1
        ledger.close()
