"""Public addresses, by an explicit list of the others: `ipaddress` accepts transitional and historical forms.

The list follows the IANA special-purpose address registries (RFC 6890) and older assignments. It includes a few
reachable networks without any web sites.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

DENIED_IPV4: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a carrier"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "the metadata service of a cloud"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT relays"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
DENIED_IPV6: tuple[tuple[str, str], ...] = (
    ("::/96", "IPv4-compatible, unspecified or loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("64:ff9b:1::/48", "NAT64 of a local network"),
    ("100::/64", "discarded"),
    ("100:0:0:1::/64", "a dummy"),
    ("2001::/23", "for protocols, Teredo among them"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "AS112"),
    ("3ffe::/16", "6bone"),
    ("3fff::/20", "for documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)

_IPV4 = tuple((IPv4Network(network), what) for network, what in DENIED_IPV4)
_IPV6 = tuple((IPv6Network(network), what) for network, what in DENIED_IPV6)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# IPv6-only hosts reach the IPv4 web through this network, so the embedded address decides.
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP_INTERFACES = frozenset((0x00005EFE, 0x02005EFE, 0x01005EFE, 0x03005EFE))


def why_refused(address: IPAddress, allowed: Sequence[IPNetwork] = ()) -> str:
    """Return the kind of a forbidden address in a few words, or "" for a public or allowed one.

    Args:
        allowed: private networks with permission. An address must be in one of them as written: an IPv4 address
            embedded in another form is not allowed by its IPv4 network.
    """
    if any(address in network for network in allowed):
        return ""
    if isinstance(address, IPv4Address):
        return next((what for network, what in _IPV4 if address in network), "")
    if address.scope_id:
        return "with a zone"
    if address in _NAT64:
        what = why_refused(IPv4Address(int(address) & 0xFFFF_FFFF))
        return f"NAT64 of an address that is {what}" if what else ""
    for network, what in _IPV6:
        if address in network:
            return what
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_INTERFACES:
        return "ISATAP"
    return "" if address in _GLOBAL_UNICAST else "not global unicast"
