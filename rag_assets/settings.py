"""The settings: every environment variable of the package, once, with its description.

Options of sources are described beside each source. `.env.example` and the table in docs/settings.md are rendered from
this class, and tested against it. `environment` says which of several values counts.
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from rag_assets.aws.secrets import AwsSecret
from rag_assets.environment import (
    HOME,
    Environment,
    file_variable,
    read_environment,
    secret,
    secret_variables,
    variable_of_secret,
)
from rag_assets.errors import ConfigurationError
from rag_assets.index_settings import IndexSettings
from rag_assets.invalid_values import FORM, describe_invalid_values, may_hold_secrets
from rag_assets.redis_address import RedisAddress, redis_address, sentinel_host
from rag_assets.secret_values import remember
from rag_assets.setting_types import AwsSecretStr, CronLine, Names, TimeZone, UserPath, WebAddress


class Settings(IndexSettings):
    """Places, parts in use, and the numbers behind every decision. All paths are absolute."""

    # Ledger
    redis_url: SecretStr | None = Field(
        None,
        alias="REDIS_URL",
        description="URL of a Redis server for the ledger, the embedding cache and the lease: "
        "`redis://user:password@host:6379/0`, or `rediss://` for TLS. Empty: one SQLite file in the state folder. See "
        "docs/redis.md.",
    )
    redis_ca_file: UserPath | None = Field(
        None,
        alias="REDIS_CA_FILE",
        description="Certificates of the authorities to trust for `rediss://`, PEM. Empty: those of the machine.",
    )
    redis_timeout_seconds: float = Field(
        5,
        alias="REDIS_TIMEOUT_SECONDS",
        gt=0,
        allow_inf_nan=False,
        description="Seconds to wait for an answer of Redis.",
    )
    redis_sentinels: Names = Field(
        (),
        alias="RAG_REDIS_SENTINELS",
        description="Redis Sentinels, `host:port` separated by commas. They name the current master. The host in `REDIS_URL` "
        "is then the name of the master, for example `redis://user:password@mymaster`.",
    )
    redis_sentinel_user: str = Field(
        "",
        alias="RAG_REDIS_SENTINEL_USER",
        description="ACL user of the Sentinels. Empty: their default user.",
    )
    redis_sentinel_password: SecretStr | None = Field(
        None,
        alias="RAG_REDIS_SENTINEL_PASSWORD",
        description="Password of the Sentinels. The password in `REDIS_URL` is never sent to them.",
    )

    # Vector store
    qdrant_url: str | None = Field(
        None,
        alias="QDRANT_URL",
        description="URL of a Qdrant server. Empty: the embedded engine in the state folder.",
    )
    qdrant_api_key: SecretStr | None = Field(
        None,
        alias="QDRANT_API_KEY",
        description="API key for the Qdrant server. For an application that only searches, a read-only one is enough.",
    )
    qdrant_ca_file: UserPath | None = Field(
        None,
        alias="QDRANT_CA_FILE",
        description="Certificates of the authorities to trust for the Qdrant server, PEM. Empty: those of the machine.",
    )
    qdrant_timeout_seconds: int = Field(
        60,
        alias="QDRANT_TIMEOUT_SECONDS",
        ge=1,
        description="Seconds to wait for an answer of the Qdrant server.",
    )
    qdrant_replicas: int | None = Field(
        None,
        alias="RAG_QDRANT_REPLICAS",
        ge=1,
        description="Copies of each generation on a Qdrant cluster. With 2, a refresh and a search go on while a node "
        "is away. Empty: the default of the cluster.",
    )
    qdrant_write_consistency: int | None = Field(
        None,
        alias="RAG_QDRANT_WRITE_CONSISTENCY",
        ge=1,
        description="Copies that have to take a write on a Qdrant cluster. With as many as `RAG_QDRANT_REPLICAS` a refresh "
        "fails while a node is away. Empty: the default of the cluster. A copy that misses a write is never read before "
        "it is complete again.",
    )
    qdrant_shards: int = Field(
        1,
        alias="RAG_QDRANT_SHARDS",
        ge=1,
        description="Parts of each generation on a Qdrant cluster. With more than one, keyword scores count documents in "
        "each part alone, and the ranking differs from that of the embedded store.",
    )
    qdrant_snapshots: bool = Field(
        False,
        alias="RAG_QDRANT_SNAPSHOTS",
        description="Whether a snapshot of each generation is stored on the Qdrant server before its promotion.",
    )

    # Evaluation, gate, promotion
    benchmark_file: UserPath = Field(
        Path("eval_benchmarks/benchmark.jsonl"),
        alias="RAG_BENCHMARK_FILE",
        description="Questions with their expected documents, one JSON object per line. See "
        "docs/benchmark.md.",
    )
    eval_threshold: float = Field(
        0.75,
        alias="RAG_EVAL_THRESHOLD",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Minimum Recall@5 for a candidate to go live.",
    )
    max_regression: float = Field(
        5.0,
        alias="RAG_MAX_REGRESSION",
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="Drop of Recall@5 or MRR@10 against production, in points, from which a loss beyond chance is a "
        "regression. See docs/benchmark.md.",
    )
    regression_fails: bool = Field(
        True,
        alias="RAG_REGRESSION_FAILS",
        description="Whether a regression blocks a candidate. If not, it is only a warning.",
    )
    eval_slice_by: str = Field(
        "",
        alias="RAG_EVAL_SLICE_BY",
        description="Metadata key for Recall@5 by its values, such as `department`. Empty: no such table.",
    )
    dense_weight: float = Field(
        0.3,
        alias="RAG_DENSE_WEIGHT",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Weight of the dense score in hybrid retrieval, 0 to 1. BM25 has the rest.",
    )
    max_deleted_share: float = Field(
        0.3,
        alias="RAG_MAX_DELETED_SHARE",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Maximum share of production deleted within 24 hours without approval. Up to 10 documents need none.",
    )
    keep_failed_candidate: bool = Field(
        False, alias="RAG_KEEP_FAILED_CANDIDATE", description="Keep a rejected candidate for inspection."
    )

    # Running
    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process",
        alias="RAG_EXECUTOR",
        description="`in_process` (one process per run) or `multiprocess` (one process per step).",
    )
    auto_refresh: bool = Field(
        False,
        alias="RAG_AUTO_REFRESH",
        description="Whether the schedule and the sensors of Dagster start refreshes without being turned on in its UI. "
        "A switch in the UI wins over this setting.",
    )
    schedule: CronLine = Field(
        "0 */6 * * *",
        alias="RAG_SCHEDULE",
        description="Cron line of the schedule `refresh_on_schedule`: minute, hour, day of the month, month, day of the "
        "week. Read when Dagster loads the code location.",
    )
    schedule_timezone: TimeZone = Field(
        "UTC",
        alias="RAG_SCHEDULE_TIMEZONE",
        description="Time zone of `RAG_SCHEDULE`, such as `Europe/Berlin`.",
    )
    slack_webhook_url: SecretStr | None = Field(
        None,
        alias="SLACK_WEBHOOK_URL",
        description="Incoming Slack webhook for messages about refreshes. See docs/alerts.md.",
    )
    dagster_url: WebAddress = Field(
        "",
        alias="RAG_DAGSTER_URL",
        json_schema_extra={FORM: "an address such as `https://dagster.example.com`"},
        description="Address of the Dagster UI, such as `https://dagster.example.com`, for links in messages. Empty: no "
        "links.",
    )
    deployment: str = Field(
        "",
        alias="RAG_DEPLOYMENT",
        max_length=60,
        pattern=r"^[^\x00-\x1f]*$",
        json_schema_extra={FORM: "at most 60 characters on one line"},
        description="Name of this environment in messages, such as `production` or `staging`. Empty: the name of the "
        "machine.",
    )

    metadata_url: SecretStr | None = Field(
        None,
        alias="RAG_METADATA_URL",
        description="PostgreSQL database of the metadata tables, `postgresql://user:password@host/database`. Empty: "
        "`metadata.sqlite` in the state folder. See docs/metadata-tables.md.",
    )

    # Metrics
    metrics_port: int = Field(
        9464,
        alias="RAG_METRICS_PORT",
        ge=0,
        le=65535,
        description="Port of `rag-assets metrics`. 0: a free one, printed at the start. See docs/metrics.md.",
    )
    metrics_address: str = Field(
        "127.0.0.1",
        alias="RAG_METRICS_ADDRESS",
        min_length=1,
        description="Address on which `rag-assets metrics` listens. It has no login: open it to Prometheus only.",
    )
    pushgateway_url: SecretStr | None = Field(
        None,
        alias="RAG_PUSHGATEWAY_URL",
        description="URL of the Pushgateway for `rag-assets metrics --push`, `http://user:password@host:9091`.",
    )

    # MLflow
    mlflow_tracking_uri: SecretStr | None = Field(
        None,
        alias="MLFLOW_TRACKING_URI",
        description="MLflow for one run per refresh: `http://host:5000`, or `sqlite:///mlflow.db` without a server. Empty: none. "
        "Needs `pip install 'rag-assets[mlflow]'`. See docs/mlflow.md.",
    )
    mlflow_tracking_username: str = Field(
        "", alias="MLFLOW_TRACKING_USERNAME", description="User name for the MLflow server."
    )
    mlflow_tracking_password: SecretStr | None = Field(
        None, alias="MLFLOW_TRACKING_PASSWORD", description="Password for the MLflow server."
    )
    mlflow_tracking_token: SecretStr | None = Field(
        None, alias="MLFLOW_TRACKING_TOKEN", description="Bearer token for the MLflow server."
    )
    mlflow_experiment_name: str = Field(
        "",
        alias="MLFLOW_EXPERIMENT_NAME",
        description="MLflow experiment of the runs. Empty: the name of the knowledge base.",
    )
    mlflow_url: WebAddress = Field(
        "",
        alias="RAG_MLFLOW_URL",
        json_schema_extra={FORM: "an address such as `https://mlflow.example.com`"},
        description="Address of the UI of MLflow, for links. Empty: `MLFLOW_TRACKING_URI`, if that is a server.",
    )
    # MCP server
    mcp_filter: str = Field(
        "",
        alias="RAG_MCP_FILTER",
        description="Access filter of `rag-assets mcp`: filters as of `rag-assets search --filter`, separated by semicolons, "
        "for example `access=everyone;source=wiki`. All must match. Empty: every document is readable. See docs/mcp.md.",
    )
    mcp_token: SecretStr | None = Field(
        None,
        alias="RAG_MCP_TOKEN",
        min_length=16,
        json_schema_extra={FORM: "at least 16 characters"},
        description="Bearer token of `rag-assets mcp --http`, at least 16 characters. Empty: none, for the loopback address "
        "only.",
    )
    mcp_hosts: Names = Field(
        (),
        alias="RAG_MCP_HOSTS",
        description="Host names in requests to `rag-assets mcp --http`, separated by commas, beside `localhost` and the "
        "address it listens on. Requests to other names, and from pages of other sites, are refused.",
    )
    mcp_calls_per_minute: int = Field(
        60,
        alias="RAG_MCP_CALLS_PER_MINUTE",
        ge=1,
        description="Maximum calls of tools per minute in one `rag-assets mcp`.",
    )

    @field_validator("redis_sentinels")
    @classmethod
    def _check_sentinels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            sentinel_host(one)
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            redis_address(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _resolve_paths(self) -> Self:
        home = self.home.absolute()
        # The model is frozen, and defaults are resolved too.
        vars(self).update({name: home / value for name, value in self if isinstance(value, Path)})
        return self

    @property
    def redis_address(self) -> RedisAddress | None:
        """The address of the Redis ledger, None for the embedded ledger.

        Raises:
            ConfigurationError: `REDIS_URL` does not go with Sentinels.
        """
        url = self.redis_url.get_secret_value() if self.redis_url else ""
        try:
            return redis_address(url, self.redis_sentinels)
        except ValueError as error:
            raise ConfigurationError(f"REDIS_URL: {error}") from None


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and the `.env` files.

    Args:
        overrides: values by field name. They win over both.

    Raises:
        ConfigurationError: a value is malformed. The message names the variable and the expected form, never a secret.
    """
    # Not `populate_by_name`: with it COLLECTION, SOURCES or EXECUTOR in the environment would be read too.
    by_alias = {Settings.model_fields[name].alias or name: value for name, value in overrides.items()}
    environment = read_environment()
    settings = _checked({**settings_in(environment), **by_alias, HOME: environment.home})
    variables = variables_of_settings(environment)
    for name, field in Settings.model_fields.items():
        alias = str(field.alias)
        variable = variables.get(alias, alias)
        if variable in secret_variables(alias)[2:] and alias not in by_alias:
            # After the validation, which would unpack it, and so fetch it for commands that do not need it.
            at_aws = AwsSecret(variable, environment.variables[variable])
            vars(settings)[name] = AwsSecretStr(at_aws, partial(_check_value, alias, environment.home))
    return settings


def _checked(values: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(describe_invalid_values(error, _FIELDS, str, "Settings")) from None


def _check_value(alias: str, home: Path, value: str) -> None:
    _checked({alias: value, HOME: home})


_FIELDS = {str(field.alias): field for field in Settings.model_fields.values()}


def settings_in(environment: Environment) -> dict[str, str]:
    """Return the settings with a value, by variable. Those in AWS have none yet.

    Raises:
        ConfigurationError: the file of a secret is unusable, or the secret has two variables.
    """
    values = environment.variables
    found: dict[str, str] = {}
    for alias, name in variables_of_settings(environment).items():
        if name in secret_variables(alias)[1:]:
            variable_of_secret(alias, values)
        if name == file_variable(alias):
            found[alias] = secret(alias, values, environment.home) or ""
        elif name not in secret_variables(alias)[1:]:
            found[alias] = values[name]
            if may_hold_secrets(_FIELDS[alias].annotation):
                remember(found[alias])
    return found


def variables_of_settings(environment: Environment) -> dict[str, str]:
    """Return setting -> the variable of its value: its own, that in lower case, or that for the place of a secret."""
    values = environment.variables
    spelled = {name.upper(): name for name in values} | {name: name for name in values}
    found: dict[str, str] = {}
    for field in Settings.model_fields.values():
        alias = str(field.alias)
        places = secret_variables(alias)[1:] if may_hold_secrets(field.annotation) else ()
        if place := next((name for name in places if values.get(name)), None):
            found[alias] = place
        elif alias in spelled and values[spelled[alias]]:
            found[alias] = spelled[alias]
    return found


def known_variables() -> set[str]:
    """Return the variables of all settings, and those for the places of secrets."""
    return {
        variable
        for field in Settings.model_fields.values()
        for variable in variables_of(str(field.alias), field)
    }


def variables_of(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Return the variables for a setting or an option: its own, and those for its place if it is a secret."""
    return secret_variables(name) if may_hold_secrets(field.annotation) else (name,)
