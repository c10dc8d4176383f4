"""The variables and options that may hold a secret, derived from the settings and the sources, and a canary for each.

A new secret setting, or a new setting or option with an address, is in the list by itself. `test_variables` asks for its
form if it is not a plain text.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote

from pydantic.fields import FieldInfo

from rag_assets.invalid_values import may_hold_secrets
from rag_assets.settings import Settings
from rag_assets.sources.registry import SOURCES
from rag_assets_tests.leaks.scanner import MARK

_MIDDLE = "+/@%&=\"\\'"
"""Each of these is written in another way by some encoding. No space: a key with one is refused."""
_ADDRESS_WORDS = ("url", "urls", "dsn", "sitemaps", "endpoint")
OF_LIBRARIES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "DAGSTER_POSTGRES_PASSWORD",
    "HF_TOKEN",
    "PGPASSWORD",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)
"""Variables of the packages below us, which are in the environment of every process."""


def canary(number: int) -> str:
    """Return a secret whose beginning and end can both be found: half of one is too much."""
    return f"{MARK}{number:03d}{_MIDDLE}{MARK}{number:03d}"


def in_url(number: int) -> str:
    """Return a canary as a part of a URL."""
    return quote(canary(number), safe="")


def is_address(name: str, field: FieldInfo) -> bool:
    """Whether a field is a URL, or a list of them, and so may hold a password or a token."""
    words = name.lower().split("_")
    return "str" in str(field.annotation) and any(word in _ADDRESS_WORDS for word in words)


@cache
def secret_settings() -> tuple[str, ...]:
    """Return the variables of settings that may hold a secret."""
    return tuple(
        str(field.alias)
        for name, field in Settings.model_fields.items()
        if may_hold_secrets(field.annotation) or is_address(name, field)
    )


@cache
def secret_options() -> tuple[str, ...]:
    """Return `kind.option` of every source."""
    return tuple(f"{kind}.{name}" for kind, name, _ in _options())


def _options() -> Iterator[tuple[str, str, FieldInfo]]:
    for kind, source in SOURCES.items():
        for name, field in source.Options.model_fields.items():
            if may_hold_secrets(field.annotation) or (
                is_address(name, field) and "template" not in name and name != "signature_parameters"
            ):
                yield kind, name, field


@cache
def numbers() -> dict[str, int]:
    """Return variable, or `kind.option` -> the number of its canary."""
    names = (*secret_settings(), *secret_options(), *OF_LIBRARIES)
    return {name: number for number, name in enumerate(names, start=1)}


def names_of(found: set[str]) -> list[str]:
    """Return the variables behind the numbers in a find."""
    by_number = {f"{number:03d}": name for name, number in numbers().items()}
    return sorted(by_number.get(number, number) for number in found)


def canary_of(name: str) -> str:
    return canary(numbers()[name])


def in_url_of(name: str) -> str:
    return in_url(numbers()[name])


def holds_canary(name: str, value: Any) -> bool:
    """Whether a value, at any depth, holds the canary of a variable, plain or as in a URL."""
    return f"{MARK}{numbers()[name]:03d}" in str(value)
