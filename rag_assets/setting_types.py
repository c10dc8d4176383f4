"""Types of settings with a form of their own: paths, lists of names, cron lines, time zones, addresses, secrets in AWS."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, SecretStr

from rag_assets.aws.secrets import AwsSecret

_CRON_FIELD = r"[0-9A-Za-z*/,#?-]+"
_CRON_LINE = re.compile(rf"@[a-z]+|{_CRON_FIELD}( +{_CRON_FIELD}){{4}}")


def _expand_home(path: Path) -> Path:
    # Not Path.expanduser: it raises if there is no such home. This way the folder is reported missing.
    return Path(os.path.expanduser(path))  # noqa: PTH111


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _check_cron_line(line: str) -> str:
    # Dagster checks the numbers when it loads the schedule. Only a module with definitions may import it.
    if not _CRON_LINE.fullmatch(line.strip()):
        raise ValueError(
            "expected a cron line of five fields, such as `0 */6 * * *`: minute, hour, day of the month, month, day of the week"
        )
    return line.strip()


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # an unknown name, a path or a folder
        raise ValueError("expected the name of a time zone, such as `UTC` or `Europe/Berlin`") from None
    return name


def _check_web_address(url: str) -> str:
    # It is shown in messages: no secret may be part of it, and nothing may end the link.
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address, parts = False, urlsplit("")
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if url and not (is_address and is_plain and re.fullmatch(r"[!-;=?-{}~]+", url)):
        raise ValueError(
            "expected an address such as `https://dagster.example.com`, without user, password and query"
        )
    return url.rstrip("/")


UserPath = Annotated[Path, AfterValidator(_expand_home)]
"""A path with `~` for the home folder: no shell replaces it in a `.env` file or in YAML."""
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Names, in a variable separated by commas."""
CronLine = Annotated[str, AfterValidator(_check_cron_line)]
TimeZone = Annotated[str, AfterValidator(_check_time_zone)]
WebAddress = Annotated[str, AfterValidator(_check_web_address)]
"""The address of a web page that people open, without a slash at its end."""


class AwsSecretStr(SecretStr):
    """A secret that is fetched when its value is used. Whether it is set is known without it.

    Args:
        check: raises `ConfigurationError` if the setting cannot have this value.
    """

    def __init__(self, secret: AwsSecret, check: Callable[[str], None]) -> None:
        super().__init__("")
        self._secret = secret
        self._check = check

    def get_secret_value(self) -> str:
        value = self._secret.fetch()
        self._check(value)
        return value

    def _display(self) -> str:
        return "**********"

    def __len__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AwsSecretStr) and self._secret == other._secret

    def __hash__(self) -> int:
        return hash(self._secret)
