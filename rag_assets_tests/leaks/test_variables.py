"""Every variable and option with a secret is covered, by itself."""

from typing import Any

import pytest

from rag_assets.settings import Settings
from rag_assets.sources.registry import SOURCES
from rag_assets_tests.leaks.canaries import (
    OF_LIBRARIES,
    holds_canary,
    numbers,
    secret_options,
    secret_settings,
)
from rag_assets_tests.leaks.scenes import REQUIRED, form_of_option, form_of_setting
from rag_assets_tests.leaks.servers import FailingServer

WITHOUT_SECRET = {
    # A login, a query or a fragment in these is refused: `test_malformed` puts one there.
    *(
        "OPENAI_BASE_URL",
        "RAG_MEDIA_BASE_URL",
        "RAG_DAGSTER_URL",
        "RAG_MLFLOW_URL",
        "confluence.url",
        "notion.base_url",
        "s3.endpoint_url",
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> FailingServer:
    return FailingServer(tmp_path_factory.mktemp("server"))


def test_the_known_secrets_are_in_the_lists() -> None:
    assert {"OPENAI_API_KEY", "REDIS_URL", "QDRANT_URL", "SLACK_WEBHOOK_URL", "RAG_METADATA_URL"} <= set(
        secret_settings()
    )
    assert {"postgres.dsn", "notion.token", "fsspec.storage_options", "urls.urls"} <= set(secret_options())
    assert len(numbers()) == len(secret_settings()) + len(secret_options()) + len(OF_LIBRARIES)


@pytest.mark.parametrize("name", secret_settings())
def test_each_setting_has_a_valid_form_with_a_canary(name: str, server: FailingServer) -> None:
    value = form_of_setting(name, server)
    Settings.model_validate({name: value})  # else: add its form to `form_of_setting`
    assert holds_canary(name, value) != (name in WITHOUT_SECRET)


@pytest.mark.parametrize("kind", SOURCES)
def test_each_option_has_a_valid_form_with_a_canary(kind: str, server: FailingServer) -> None:
    names = [name for name in secret_options() if name.startswith(f"{kind}.")]
    options: dict[str, Any] = {name.partition(".")[2]: form_of_option(name, server) for name in names}
    # Else: add the form of the option to `form_of_option`.
    SOURCES[kind].Options(**{**REQUIRED.get(kind, {}), **options})
    for name in names:
        assert holds_canary(name, options[name.partition(".")[2]]) != (name in WITHOUT_SECRET)


def test_the_declared_sources_are_all_that_exist() -> None:
    declared = {name.partition(".")[0] for name in secret_options()}
    assert set(SOURCES) - declared == {"filesystem"}
