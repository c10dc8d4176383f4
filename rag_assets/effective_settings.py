"""The values in effect as people may see them: with their origin, and without secrets."""

from rag_assets.document_metadata.sensitive import is_secret_value
from rag_assets.environment import HOME, SHELL, Difference, Environment
from rag_assets.invalid_values import may_hold_secrets
from rag_assets.settings import Settings

_PLACES = (HOME, "DAGSTER_HOME")


def difference_lines(environment: Environment) -> list[str]:
    """Return one sentence for each variable with different values in the shell and in `.env` files."""
    return [_sentence(difference) for difference in environment.differences()]


def place_of(settings: Settings) -> str:
    """Return the place of the vector store: its server without credentials, or the state folder."""
    if not settings.qdrant_url:
        return str(settings.state_dir)
    scheme, separator, rest = settings.qdrant_url.rpartition("://")
    return f"{scheme}{separator}{rest.partition('?')[0].rpartition('@')[2]}"


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
