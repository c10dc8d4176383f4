"""Settings for messages while another setting is malformed: then no refresh starts, and someone has to learn of it."""

from pydantic import ValidationError

from rag_assets.environment import HOME, read_environment
from rag_assets.settings import Settings, load_settings, settings_in

_NEEDED = frozenset({"state_dir", "collection", "slack_webhook_url", "deployment", "dagster_url"})


def settings_for_alerts() -> Settings:
    """Return the settings, with the default of each malformed one. They say where messages go, and nothing else.

    Raises:
        ConfigurationError: one is malformed without which no message can be sent.
    """
    environment = read_environment()
    refused: set[str] = set()
    try:
        Settings.model_validate({**settings_in(environment), HOME: environment.home})
    except ValidationError as error:
        refused = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
    fields = {name: field for name, field in Settings.model_fields.items() if field.alias in refused}
    if fields.keys() & _NEEDED:
        return load_settings()
    return load_settings(
        **{name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    )
