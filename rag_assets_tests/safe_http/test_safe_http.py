"""Pages are fetched from public addresses only, for any URL, redirect or name server."""

import gzip
import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.errors import FetchFailed, FetchRefused, ResponseTooLarge
from rag_assets.safe_http import SafeHttp
from rag_assets.safe_http.addresses import DENIED_IPV4, DENIED_IPV6, why_refused
from rag_assets.safe_http.urls import parse_url
from rag_assets_tests.web_site import Reply, WebSite

SITE = "127.0.0.1"
CANARY = "127.0.0.2"
_CANARY_V6 = f"7f00:{2:x}"  # 127.0.0.2 as it is embedded in IPv6

_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# Some programs take each of these for the canary, this machine or a metadata service. A port follows the host.
HOSTS = (
    CANARY,
    "127.0.0.3",
    "127.255.255.254",
    "127.2",
    "127.0.2",
    "127.1",
    "127",
    "0",
    "0.0.0.0",
    "0.0.0.2",
    "0x7f.0.0.2",
    "0x7f.2",
    "0x7f000002",
    "0X7F000002",
    "0x7f.0x0.0x0.0x2",
    "0177.0.0.2",
    "0177.2",
    "017700000002",
    "00000177.0.0.2",
    "127.000.000.002",
    "2130706434",
    "2130706433",
    "127.0.0.0x2",
    "127.0x0.2",
    "127.0.0.2.",
    "127.0.0.2..",
    ".127.0.0.2",
    "127..0.0.2",
    "127.0.0.256",
    "127.0.0.0.2",
    "4294967298",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost..",
    "localhost.localdomain.",
    "127。0。0。2",
    "127.0。0.2",
    "127．0．0．2",
    "１２７.0.0.2",
    "①②⑦.⓪.⓪.②",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "ｌｏｃａｌｈｏｓｔ",
    "𝟙𝟚𝟟.𝟘.𝟘.𝟚",
    "%31%32%37.0.0.2",
    "127%2e0%2e0%2e2",
    "localho%73t",
    "127.0.0.2%00.example.com",
    "user@127.0.0.2",
    "user:password@127.0.0.2",
    "example.com@127.0.0.2",
    "example.com:80@127.0.0.2",
    "example.com\\@127.0.0.2",
    "127.0.0.2\\@example.com",
    "127.0.0.2 .example.com",
    "127.0.0.2\t",
    "",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::]",
    "[::127.0.0.2]",
    f"[::{_CANARY_V6}]",
    "[::ffff:127.0.0.2]",
    f"[::ffff:{_CANARY_V6}]",
    "[0:0:0:0:0:ffff:127.0.0.2]",
    "[::ffff:169.254.169.254]",
    "[::ffff:10.0.0.1]",
    "[::ffff:8.8.8.8]",
    "[::ffff:0:127.0.0.2]",
    f"[::ffff:0:{_CANARY_V6}]",
    "[64:ff9b::127.0.0.2]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::10.1.2.3]",
    "[64:ff9b:1::8.8.8.8]",
    "[2002:7f00:2::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:0808:0808::80ff:fffd]",
    "[2001:0:7f00:2::1]",
    "[2a00:1450:4001:81b:0:5efe:127.0.0.2]",
    "[2a00:1450:4001:81b:200:5efe:7f00:2]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "[fe80::5efe:127.0.0.2]",
    "[fc00::1]",
    "[fd00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[fd20:ce::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[3ffe::1]",
    "[100::1]",
    "[4000::1]",
    "[::1].example.com",
    "[v1.127.0.0.2]",
    "[127.0.0.2]",
    "::1",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.16689662",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "168.63.129.16",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
)
# Possible answers of a name server. The notation of an address does not matter there.
ANSWERS = (
    CANARY,
    "127.0.0.1",
    "127.5.6.7",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.2",
    "::ffff:127.0.0.2",
    "::ffff:0:127.0.0.2",
    "64:ff9b::127.0.0.2",
    "64:ff9b:1::127.0.0.2",
    "2002:7f00:2::",
    "2001:0:7f00:2::1",
    "2a00::5efe:127.0.0.2",
    "fe80::1",
    "fe80::1%lo",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
)


class Resolver:
    """Answers with one list per query, and repeats the last one."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.questions.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def canary() -> Iterator[WebSite]:
    """Listens on a forbidden address. Every URL has its port."""
    site = WebSite(CANARY)
    site.text("/", "secret")
    yield site
    site.close()


@pytest.fixture
def site() -> Iterator[WebSite]:
    site = WebSite(SITE)
    yield site
    site.close()


def http_to(resolve: Resolver | None = None, **options: object) -> SafeHttp:
    return SafeHttp(
        **{
            "user_agent": "test",
            "allow_networks": [ipaddress.IPv4Network(f"{SITE}/32")],
            "timeout_seconds": 5.0,
            "deadline_seconds": 5.0,
            "resolve": resolve,
            "ssl_context": _NO_AUTHORITIES,
            **options,
        }  # pyright: ignore[reportArgumentType]
    )


def test_the_canary_is_reachable_if_allowed(canary: WebSite) -> None:
    before = canary.num_connections
    http = http_to(allow_networks=[ipaddress.IPv4Network(f"{CANARY}/32")])
    assert http.get(f"{canary.url}/", max_bytes=100).body == b"secret"
    assert canary.num_connections == before + 1


@pytest.mark.parametrize("host", HOSTS)
def test_no_url_leads_to_a_private_address(host: str, canary: WebSite) -> None:
    before = canary.num_connections
    with pytest.raises(FetchRefused):
        http_to(allow_networks=()).get(f"http://{host}:{canary.port}/", max_bytes=100)
    assert canary.num_connections == before


# The site itself, which redirects, is at 127.0.0.1.
@pytest.mark.parametrize("host", [host for host in HOSTS if host.lower() != "localhost"])
def test_no_redirect_leads_to_a_private_address(host: str, canary: WebSite, site: WebSite) -> None:
    before = canary.num_connections
    location = f"http://{host}:{canary.port}/".encode().decode("latin-1")
    site.replies["/"] = Reply(status=302, headers={"Location": location.replace("\t", "%09")})
    with pytest.raises(FetchRefused):
        http_to().get(f"{site.url}/", max_bytes=100)
    assert canary.num_connections == before
    assert site.num_connections == 1


@pytest.mark.parametrize("address", ANSWERS)
@pytest.mark.parametrize("among_public_ones", [False, True])
def test_no_name_leads_to_a_private_address(address: str, among_public_ones: bool, canary: WebSite) -> None:
    before = canary.num_connections
    resolver = Resolver([CANARY, "93.184.215.14", address] if among_public_ones else [address])
    http = http_to(resolver, allow_networks=())
    with pytest.raises(FetchRefused, match="allow_networks"):
        http.get(f"http://docs.example.com:{canary.port}/", max_bytes=100)
    assert canary.num_connections == before
    assert resolver.questions == ["docs.example.com"]


def test_one_private_address_is_enough_to_refuse_a_name(canary: WebSite) -> None:
    for answers in ([SITE, CANARY], [CANARY, SITE]):
        with pytest.raises(FetchRefused):
            http_to(Resolver(answers)).get(f"http://docs.example.com:{canary.port}/", max_bytes=100)


def test_a_name_is_resolved_once_and_the_connection_uses_that_address(
    canary: WebSite, site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = canary.num_connections
    connected: list[object] = []
    create_connection = socket.create_connection

    def watched(address: tuple[str, int], *args: object, **kwargs: object) -> socket.socket:
        connected.append(address)
        return create_connection(address, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(socket, "create_connection", watched)
    resolver = Resolver([SITE], [CANARY])
    site.text("/", "public")
    answer = http_to(resolver).get(f"http://docs.example.com:{site.port}/", max_bytes=100)
    assert answer.body == b"public"
    assert connected == [(SITE, site.port)]
    assert resolver.questions == ["docs.example.com"]
    assert site.requests[0][1]["host"] == f"docs.example.com:{site.port}"
    # The name has another address now, so a new connection is refused.
    with pytest.raises(FetchRefused):
        http_to(resolver).get(f"http://docs.example.com:{site.port}/", max_bytes=100)
    assert canary.num_connections == before


def test_a_redirect_to_a_name_rebound_to_this_machine_is_refused(canary: WebSite, site: WebSite) -> None:
    before = canary.num_connections
    site.replies["/"] = Reply(status=307, headers={"Location": f"http://other.example.com:{canary.port}/"})
    with pytest.raises(FetchRefused):
        http_to(Resolver([SITE], [CANARY])).get(f"http://docs.example.com:{site.port}/", max_bytes=100)
    assert canary.num_connections == before


def test_a_proxy_of_the_environment_is_not_used(
    canary: WebSite, site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = canary.num_connections
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, canary.url)
    site.text("/", "public")
    assert http_to().get(f"{site.url}/", max_bytes=100).body == b"public"
    assert canary.num_connections == before


# Addresses

_DENIED_V4 = [ipaddress.IPv4Network(text) for text, _ in DENIED_IPV4]
_DENIED_V6 = [ipaddress.IPv6Network(text) for text, _ in DENIED_IPV6]


def _any_of(networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> st.SearchStrategy[int]:
    return st.sampled_from(networks).flatmap(
        lambda network: st.integers(int(network.network_address), int(network.broadcast_address))
    )


def _embeddings(inner: int, prefix: int) -> dict[str, ipaddress.IPv6Address]:
    """Return every IPv6 form of an IPv4 address. `prefix` is the prefix of a site: 64 bits of 2000::/3."""
    site = (0x2000 << 112) | (prefix & ((1 << 61) - 1)) << 64
    forms = {
        "compatible": inner,
        "mapped": 0xFFFF << 32 | inner,
        "translated": 0xFFFF << 48 | inner,
        "nat64": 0x64_FF9B << 96 | inner,
        "local nat64": 0x64_FF9B_0001 << 80 | inner,
        "6to4": 0x2002 << 112 | inner << 80,
        "teredo server": 0x2001_0000 << 96 | inner << 64,
        "teredo client": 0x2001_0000 << 96 | inner ^ 0xFFFF_FFFF,
        "isatap": site | 0x5EFE << 32 | inner,
        "isatap, universal": site | 0x0200_5EFE << 32 | inner,
    }
    return {name: ipaddress.IPv6Address(value) for name, value in forms.items()}


@given(inner=_any_of(_DENIED_V4), prefix=st.integers(0, (1 << 61) - 1))
def test_a_denied_address_is_refused_in_any_embedding(inner: int, prefix: int) -> None:
    assert why_refused(ipaddress.IPv4Address(inner))
    for form, address in _embeddings(inner, prefix).items():
        assert why_refused(address), form
        # An allowed address is not allowed in disguise.
        assert why_refused(address, [ipaddress.IPv4Network(inner)]), form


@given(_any_of(_DENIED_V6))
def test_an_address_in_a_denied_network_is_refused(value: int) -> None:
    assert why_refused(ipaddress.IPv6Address(value))


@given(st.integers(0, 2**32 - 1))
def test_networks_special_to_python_are_refused_too(value: int) -> None:
    address = ipaddress.IPv4Address(value)
    assert why_refused(address) or (address.is_global and not address.is_multicast)


@given(st.integers(0, 2**128 - 1))
def test_ipv6_networks_special_to_python_are_refused_too(value: int) -> None:
    address = ipaddress.IPv6Address(value)
    assert why_refused(address) or address in ipaddress.IPv6Network("64:ff9b::/96") or address.is_global


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "1.1.1.1",
        "93.184.215.14",
        "2606:4700::1111",
        "2a00:1450:4001:81b::200e",
        "64:ff9b::8.8.8.8",
    ],
)
def test_public_addresses_are_not_refused(text: str) -> None:
    assert why_refused(ipaddress.ip_address(text)) == ""


# URLs


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("HTTP://EXAMPLE.com:80/a#b", "http://example.com/a"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://a_b.example.com:8443/?q=1", "https://a_b.example.com:8443/?q=1"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/"),
        ("http://1.2.3.4.example/", "http://1.2.3.4.example/"),
    ],
)
def test_honest_urls_are_accepted(text: str, parsed: str) -> None:
    assert str(parse_url(text)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "data:text/html,a",
        "javascript:alert(1)",
        "//example.com/",
        "/path",
        "example.com",
        "http:example.com",
        "http://",
        "http:///path",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:8o/",
        "http://a..b/",
        "http://-a.example/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 127 + "example/",
        "http://example.com/\r\nHost: other",
        "http://example.com/" + "a" * 4_000,
    ],
)
def test_ambiguous_urls_are_refused(text: str) -> None:
    with pytest.raises(FetchRefused):
        parse_url(text)


@given(st.text(max_size=60))
def test_any_text_as_a_host_is_a_url_or_refused(text: str) -> None:
    try:
        url = parse_url(f"http://{text}/")
    except FetchRefused:
        return
    assert url.raw_host
    assert parse_url(str(url)) == url


# Redirects, limits


def test_redirects_are_followed_up_to_the_limit(site: WebSite) -> None:
    for number in range(7):
        site.replies[f"/{number}"] = Reply(status=301, headers={"Location": f"/{number + 1}"})
    site.text("/7", "here")
    hops: list[str] = []
    answer = http_to(max_redirects=7).get(
        f"{site.url}/0", max_bytes=10, before_hop=lambda url: hops.append(url.path)
    )
    assert (answer.url, answer.body) == (f"{site.url}/7", b"here")
    assert hops == [f"/{number}" for number in range(1, 8)]
    with pytest.raises(FetchRefused, match="redirects more than 6"):
        http_to(max_redirects=6).get(f"{site.url}/0", max_bytes=10)


def test_secrets_are_not_sent_to_another_host(site: WebSite) -> None:
    other = WebSite(SITE)
    other.text("/", "here")
    site.replies["/"] = Reply(status=302, headers={"Location": f"{other.url}/", "Set-Cookie": "a=b"})
    headers = {"Authorization": "Bearer x", "Cookie": "c=d", "If-None-Match": '"1"'}
    http_to().get(f"{site.url}/", max_bytes=10, headers=headers)
    ((_, sent),) = other.requests
    assert not {"authorization", "cookie"} & set(sent)
    assert sent["if-none-match"] == '"1"'
    assert site.requests[0][1]["authorization"] == "Bearer x"
    http_to().get(f"{other.url}/", max_bytes=10)
    assert "cookie" not in other.requests[-1][1]
    other.close()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.com/", "javascript:1", "http://"])
def test_a_redirect_to_an_invalid_url_is_refused(location: str, site: WebSite) -> None:
    site.replies["/"] = Reply(status=302, headers={"Location": location})
    with pytest.raises(FetchRefused):
        http_to().get(f"{site.url}/", max_bytes=10)


def _bomb(coding: str) -> bytes:
    zeros = b"\0" * 50_000_000
    if coding == "gzip":
        return gzip.compress(zeros)
    return zlib.compress(zeros)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_decompression_bomb_is_given_up_while_it_arrives(coding: str, site: WebSite) -> None:
    body = gzip.compress(_bomb("gzip")) if "," in coding else _bomb(coding)
    site.replies["/"] = Reply(body, headers={"Content-Encoding": coding}, without_length=True)
    # An unrequested coding is not decoded at all.
    with pytest.raises(ResponseTooLarge if coding in ("gzip", "deflate") else FetchFailed):
        http_to().get(f"{site.url}/", max_bytes=1_000_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_body_is_decoded(coding: str, site: WebSite) -> None:
    compress = gzip.compress if coding == "gzip" else zlib.compress
    site.replies["/"] = Reply(compress(b"plain " * 1_000), headers={"Content-Encoding": coding})
    assert http_to().get(f"{site.url}/", max_bytes=6_000).body == b"plain " * 1_000


def test_a_body_in_an_unrequested_coding_is_refused(site: WebSite) -> None:
    site.replies["/"] = Reply(b"odd", headers={"Content-Encoding": "compress"})
    with pytest.raises(FetchFailed, match="not requested"):
        http_to().get(f"{site.url}/", max_bytes=10)


def test_bytes_that_decode_to_nothing_count_towards_the_limit(site: WebSite) -> None:
    empty_blocks = b"\x78\x9c" + b"\x00\x00\x00\xff\xff" * 100_000
    site.replies["/"] = Reply(empty_blocks, headers={"Content-Encoding": "deflate"}, without_length=True)
    with pytest.raises(ResponseTooLarge):
        http_to().get(f"{site.url}/", max_bytes=10_000)


def test_a_body_over_the_limit_is_refused_or_truncated(site: WebSite) -> None:
    site.text("/", "a" * 100_000)
    site.replies["/endless"] = Reply(drip=True)
    with pytest.raises(ResponseTooLarge):
        http_to().get(f"{site.url}/", max_bytes=99_999)
    assert http_to().get(f"{site.url}/", max_bytes=100_000).body == b"a" * 100_000
    assert http_to().get(f"{site.url}/", max_bytes=10, truncate=True).body == b"a" * 10
    assert http_to().get(f"{site.url}/endless", max_bytes=3, truncate=True).body == b"..."


def test_an_endlessly_slow_body_is_given_up(site: WebSite) -> None:
    site.replies["/"] = Reply(drip=True)
    with pytest.raises(FetchFailed, match="in time"):
        http_to(deadline_seconds=0.5).get(f"{site.url}/", max_bytes=1_000_000)


def test_endlessly_slow_headers_are_given_up() -> None:
    done = threading.Event()
    with socket.create_server((SITE, 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not done.wait(0.05):
                    try:
                        connection.sendall(b"a")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            with pytest.raises(FetchFailed, match="in time"):
                http_to(deadline_seconds=0.5).get(f"http://{SITE}:{server.getsockname()[1]}/", max_bytes=10)
        finally:
            done.set()
            thread.join()


def test_endless_headers_are_given_up(site: WebSite) -> None:
    site.replies["/"] = Reply(b"a", headers={f"X-{number}": "a" * 60_000 for number in range(10)})
    with pytest.raises(FetchFailed):
        http_to().get(f"{site.url}/", max_bytes=10)


@pytest.mark.parametrize("how", ["hang", "refused"])
def test_a_silent_server_is_given_up(how: str, site: WebSite) -> None:
    with site.fails(how), pytest.raises(FetchFailed):
        http_to(timeout_seconds=0.3).get(f"{site.url}/", max_bytes=10)


def test_a_cut_off_body_is_an_error(site: WebSite) -> None:
    site.replies["/"] = Reply(b"half", torn=True)
    with pytest.raises(FetchFailed):
        http_to().get(f"{site.url}/", max_bytes=10_000)


def test_an_unresolvable_name_is_a_temporary_failure() -> None:
    def resolve(host: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    with pytest.raises(FetchFailed, match=r"docs\.example\.com"):
        SafeHttp(user_agent="test", resolve=resolve).get("http://docs.example.com/", max_bytes=10)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key for docs.example.com, signed by itself."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "docs.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("docs.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


class TlsSite(WebSite):
    """Speaks TLS, and records the requested names."""

    def __init__(self, certificate: Path) -> None:
        self.names: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.sni_callback = lambda connection, name, context: self.names.append(name)
        super().__init__(SITE)

    def _start(self) -> None:
        super()._start()
        self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)


def test_the_certificate_is_checked_for_the_name_not_for_the_address(certificate: Path) -> None:
    site = TlsSite(certificate)
    try:
        site.text("/", "private")
        site.replies["/down"] = Reply(
            status=302, headers={"Location": f"http://docs.example.com:{site.port}/"}
        )
        trusting = ssl.create_default_context(cafile=str(certificate))
        http = http_to(Resolver([SITE]), ssl_context=trusting)
        assert http.get(f"https://docs.example.com:{site.port}/", max_bytes=10).body == b"private"
        assert site.names == ["docs.example.com"]
        with pytest.raises(FetchRefused, match="from https to http"):
            http.get(f"https://docs.example.com:{site.port}/down", max_bytes=10)
        for other in (f"https://other.example.com:{site.port}/", f"https://{SITE}:{site.port}/"):
            with pytest.raises(FetchFailed):
                http.get(other, max_bytes=10)
        with pytest.raises(FetchFailed):
            http_to(Resolver([SITE])).get(f"https://docs.example.com:{site.port}/", max_bytes=10)
        assert "/" in site.paths
        assert len(site.paths) == 2
    finally:
        site.close()
