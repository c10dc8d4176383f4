"""The values in effect as people may see them: with their origin, and without secrets."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from rag_assets.aws.secrets import AwsSecret
from rag_assets.document_metadata.sensitive import is_secret_value
from rag_assets.environment import (
    HOME,
    SHELL,
    Difference,
    Environment,
    file_variable,
    read_environment,
    secret_variables,
)
from rag_assets.errors import ConfigurationError
from rag_assets.invalid_values import may_hold_secrets
from rag_assets.secret_values import without_secrets
from rag_assets.settings import Settings, load_settings, variables_of_settings

DEFAULT = "default"
LAUNCHPAD = "Launchpad"
NOT_SHOWN = "set, not shown"
OVERRIDES = "overrides"
"""Key of the overrides of a run, in the details and in the metadata of `raw_documents`."""
REBUILDING = ("chunker", "chunk_size", "chunk_overlap", "tokenizer", "embedding_model")
"""Settings of the index fingerprint."""
_OF_AN_ADDRESS = "_URL"
"""The end of the variables with an address."""
_ADDRESS = re.compile(r"([a-z+]+://)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w./~-]*)?")
_PLACES = (HOME, "DAGSTER_HOME")


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One setting, or one option of a source.

    Attributes:
        value, default: as in `.env`, "" if empty, `NOT_SHOWN` for a secret.
        origin: `SHELL`, the path of a `.env` file, `file` and the path of the file of a secret, `AWS secret` or `AWS parameter` and its name, `LAUNCHPAD` or `DEFAULT`.
    """

    variable: str
    value: str
    default: str
    origin: str


@dataclass(frozen=True, slots=True)
class Override:
    """A setting with another value for one run.

    Attributes:
        without: the value without it.
        rebuilds: whether it changes the index.
    """

    variable: str
    value: str
    without: str
    rebuilds: bool

    def sentence(self, verb: str, when: str) -> str:
        """Return the values in words.

        Args:
            verb: `is` during the run, `was` afterwards.
            when: the run, such as `for this run only`.
        """
        text = f"{self.variable} {verb} {self.value or 'empty'} in place of {self.without or 'empty'} {when}"
        return f"{text}: the next refresh without it rebuilds the whole index" if self.rebuilds else text


def effective_settings(
    settings: Settings, environment: Environment, overridden: Collection[str] = ()
) -> list[EffectiveSetting]:
    """Return all settings in effect.

    Args:
        overridden: names of settings from the Launchpad.
    """
    variables = variables_of_settings(environment)
    defaults = Settings.model_validate({HOME: environment.home})
    rows: list[EffectiveSetting] = []
    for name, field in Settings.model_fields.items():
        alias = str(field.alias)
        origin = LAUNCHPAD if name in overridden else origin_of(alias, variables.get(alias), environment)
        value, default = (shown_value(getattr(one, name), field) for one in (settings, defaults))
        rows.append(EffectiveSetting(alias, value, default, origin))
    return rows


def changed_settings(settings: Settings, overridden: Collection[str]) -> list[EffectiveSetting]:
    """Return the settings in effect with another value than the default, or with one from the Launchpad."""
    rows = effective_settings(settings, read_environment(), overridden)
    return [row for row in rows if row.value != row.default or row.origin == LAUNCHPAD]


def origin_of(name: str, variable: str | None, environment: Environment) -> str:
    """Return the origin of a value.

    Args:
        name: variable of the setting or option.
        variable: the one with the value: the same, or that for the place of a secret. None: neither is set.
    """
    if variable is None:
        return DEFAULT
    if variable == file_variable(name):
        return without_secrets(f"file {environment.path(variable)}")
    if variable in secret_variables(name)[2:]:
        return AwsSecret(variable, environment.variables[variable]).place
    return environment.origin(variable)


def overrides(settings: Settings, overridden: Collection[str]) -> list[Override]:
    """Return the settings with another value than without the Launchpad.

    Args:
        overridden: names of settings from the Launchpad.
    """
    if not overridden:
        return []
    try:
        without = load_settings()
    except ConfigurationError:
        without = None
    found: list[Override] = []
    for name, field in Settings.model_fields.items():
        if name in overridden and (without is None or getattr(settings, name) != getattr(without, name)):
            before = "an invalid value" if without is None else shown_value(getattr(without, name), field)
            value = shown_value(getattr(settings, name), field)
            found.append(Override(str(field.alias), value, before, name in REBUILDING))
    return found


def shown_value(value: Any, field: FieldInfo) -> str:
    """Return the value of a setting as text, without a secret."""
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, SecretStr) and not len(value):
        return ""
    if may_hold_secrets(field.annotation):
        return NOT_SHOWN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    if str(field.alias).endswith(_OF_AN_ADDRESS):
        return without_credentials(str(value))
    text = str(value)
    if isinstance(value, Path):  # may look as random as a key
        return without_secrets(text)
    return NOT_SHOWN if is_secret_value(text) else text


def without_credentials(address: str) -> str:
    """Return an address without user, password and query. What is no address may be a key, and is not shown."""
    scheme, separator, rest = address.partition("://")
    shown = f"{scheme}{separator}{rest.partition('?')[0].rpartition('@')[2]}" if separator else address
    return NOT_SHOWN if _ADDRESS.fullmatch(shown) is None or is_secret_value(shown) else shown


def place_of(settings: Settings) -> str:
    """Return the place of the vector store: its server without credentials, or the state folder."""
    if settings.qdrant_url:
        return without_credentials(settings.qdrant_url)
    return without_secrets(str(settings.state_dir))


def ledger_server_of(settings: Settings) -> str | None:
    """Return the server of the ledger without credentials, None if the ledger is in the state folder."""
    address = settings.redis_address
    return without_secrets(f"Redis at {address}") if address else None


def names_of(settings: Settings) -> dict[str, str | None]:
    """Return name and place of a knowledge base, and the server of its ledger, for reports."""
    return {
        "name": without_secrets(settings.collection),
        "place": place_of(settings),
        "ledger": ledger_server_of(settings),
    }


def difference_lines(environment: Environment) -> list[str]:
    """Return one sentence for each variable with different values in the shell and in `.env` files."""
    return [_sentence(difference) for difference in environment.differences()]


def _sentence(difference: Difference) -> str:
    loser = "the shell" if difference.loser == SHELL else difference.loser
    if not _may_be_shown(difference.name, difference.lost, difference.won):
        return f"{difference.name} differs between {loser} and {difference.winner}, which wins"
    won = difference.won or "empty"
    return f"{difference.name} is {difference.lost} in {loser} and {won} in {difference.winner}, which wins"


def _may_be_shown(name: str, *values: str) -> bool:
    """Whether a variable is no secret: a setting of another type, or a place, and with no secret in its value."""
    shown = {str(it.alias) for it in Settings.model_fields.values() if not may_hold_secrets(it.annotation)}
    return (name in shown or name in _PLACES) and not any(map(is_secret_value, values))
