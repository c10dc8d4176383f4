"""A knowledge base whose variables and files all hold canaries, one part of which fails at a time."""

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_assets_tests.leaks import leaky_parts
from rag_assets_tests.leaks.canaries import (
    OF_LIBRARIES,
    canary_of,
    in_url_of,
    secret_options,
    secret_settings,
)
from rag_assets_tests.leaks.servers import FailingServer
from rag_assets_tests.media_files import png
from rag_assets_tests.pipeline import Pipeline, text_about

DAGSTER_YAML = Path(__file__).parents[2] / "dagster.yaml"
COMMANDS = (
    ("doctor", "--send-test-alert"),
    ("settings",),
    ("settings", "--json"),
    ("status",),
    ("status", "--json"),
    ("status", "--nagios"),
    ("plan",),
    ("quarantine",),
    ("trace", "topic00.md"),
    ("show", "topic00.md"),
    ("diff",),
    ("search", "anything"),
    ("export", "--vectors"),
    ("backup", "BACKUP"),
    ("restore", "BACKUP"),
    ("purge", "topic01.md", "--reason", "test", "--keep-copies"),
    ("purge", "--list"),
    ("rollback", "--reason", "test"),
    ("resume", "--reason", "test"),
    ("approve", "0123456789abcdef"),
    ("quarantine", "--retry"),
    ("benchmark", "draft"),
    ("metrics", "--push"),
)
"""`refresh` and `mcp` are processes of their own."""


def form_of_setting(name: str, server: FailingServer) -> str:
    """Return a valid value of a setting, or of a variable of a library, with its canary."""
    secret, host = in_url_of(name), f"127.0.0.1:{server.port}"
    forms = {
        "REDIS_URL": f"redis{'s' if server.kind == 'untrusted' else ''}://rag:{secret}@{host}/0",
        "RAG_METADATA_URL": f"postgresql://rag:{secret}@{host}/rag"
        + ("?sslmode=verify-full&sslrootcert=system" if server.kind == "untrusted" else ""),
        "QDRANT_URL": f"{server.scheme}://rag:{secret}@{host}",
        "SLACK_WEBHOOK_URL": f"{server.scheme}://{host}/services/T0/{secret}",
        # Refused with a login in it: see `test_malformed`.
        "OPENAI_BASE_URL": f"{server.scheme}://{host}/v1",
        "RAG_MEDIA_BASE_URL": f"{server.scheme}://{host}/v1",
        "RAG_PUSHGATEWAY_URL": f"{server.scheme}://rag:{secret}@{host}",
        "RAG_MLFLOW_URL": f"{server.scheme}://{host}",
        "RAG_DAGSTER_URL": f"{server.scheme}://{host}",
        "MLFLOW_TRACKING_URI": f"{server.scheme}://rag:{secret}@{host}/mlflow",
        "HTTP_PROXY": f"http://rag:{secret}@{host}",
        "HTTPS_PROXY": f"http://rag:{secret}@{host}",
        "ALL_PROXY": f"http://rag:{secret}@{host}",
    }
    return forms.get(name, canary_of(name))


def form_of_option(name: str, server: FailingServer) -> Any:
    """Return a valid value of an option `kind.option` of a source, with its canary."""
    secret, http = in_url_of(name), f"{server.scheme}://127.0.0.1:{server.port}"
    with_login = f"{server.scheme}://rag:{secret}@127.0.0.1:{server.port}"
    tls = " sslmode=verify-full sslrootcert=system" if server.kind == "untrusted" else ""
    in_conninfo = canary_of(name).replace("\\", "\\\\").replace("'", "\\'")
    forms: dict[str, Any] = {
        "confluence.url": f"{http}/wiki",
        "notion.base_url": http,
        "postgres.dsn": f"host=127.0.0.1 port={server.port} user=rag password='{in_conninfo}' dbname=rag{tls}",
        "s3.endpoint_url": http,
        "s3.queue_url": f"{http}/queue?token={secret}",
        "fsspec.url": f"leaky://host/documents?token={secret}",
        "fsspec.storage_options": {"key": canary_of(name), "inner": {"password": [canary_of(name)]}},
        "langchain.arguments": {"token": canary_of(name), "url": f"{with_login}?key={secret}"},
        "urls.urls": [f"{http}/page?token={secret}", f"{http}/page?X-Amz-Signature={secret}&b=1"],
        "urls.sitemaps": [f"{http}/sitemap.xml?sig={secret}"],
    }
    return forms.get(name, canary_of(name))


REQUIRED: dict[str, dict[str, Any]] = {
    "confluence": {"username": "somebody@example.com", "timeout_seconds": 1},
    "notion": {"timeout_seconds": 1},
    "postgres": {"table": "documents", "timeout_seconds": 1},
    "s3": {"bucket": "documents", "region": "us-east-1", "timeout_seconds": 1},
    "fsspec": {"timeout_seconds": 1},
    "langchain": {"loader": "rag_assets_tests.leaks.leaky_parts.LeakyLoader", "timeout_seconds": 1},
    "urls": {
        "allow_networks": ["127.0.0.0/8"],
        "page_timeout_seconds": 1,
        "delay_seconds": 0,
        "timeout_seconds": 1,
    },
}


class LeakScene:
    """One knowledge base in production, and a failing server.

    Attributes:
        pipeline: its home is scanned. Files with secrets are in another folder.
        printed: file with all that was printed, logged or raised.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, dagster_yaml: str) -> None:
        self._folder = folder
        self.inputs = folder / "inputs"
        self.inputs.mkdir(parents=True)
        self.server = FailingServer(folder)
        _wait_briefly(monkeypatch)
        dagster_home = folder / "home"
        dagster_home.mkdir()
        (dagster_home / "dagster.yaml").write_text(dagster_yaml)
        monkeypatch.setenv("DAGSTER_HOME", str(dagster_home))
        for name in (*secret_settings(), *OF_LIBRARIES, "NO_PROXY", "no_proxy"):
            for one in (name, name.lower()):
                monkeypatch.delenv(one, raising=False)
        self.pipeline = Pipeline(dagster_home, monkeypatch, dagster_home=dagster_home)
        self.printed = dagster_home / "printed.txt"
        for number in range(4):
            self.pipeline.write(f"topic{number:02}.md", text_about(number))
        self.pipeline.write_benchmark_for(range(4))
        self.pipeline.refresh().checked()
        self.backup = dagster_home / "backup"
        self._num_backups = 0

    def close(self) -> None:
        self.pipeline.close()
        self.server.__exit__()

    # Configuration

    def use_secrets(self, patch: pytest.MonkeyPatch) -> None:
        """Set every variable that no part needs to work, in one of the ways to hand over a secret."""
        unused = ("RAG_MCP_TOKEN", "RAG_MEDIA_API_KEY", "QDRANT_API_KEY", "RAG_REDIS_SENTINEL_PASSWORD")
        for name in (*unused, "RAG_PUSHGATEWAY_URL", *OF_LIBRARIES):
            if not name.endswith("_PROXY"):
                patch.setenv(name, form_of_setting(name, self.server))
        for name in ("SLACK_WEBHOOK_URL", "RAG_METADATA_URL"):
            path = self.inputs / name
            path.write_text(form_of_setting(name, self.server) + "\n")
            patch.setenv(f"{name}_FILE", str(path))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("REDIS_TIMEOUT_SECONDS", "1")
        patch.setenv("QDRANT_TIMEOUT_SECONDS", "1")

    def use_sources(self, patch: pytest.MonkeyPatch) -> None:
        """Declare every source, at the failing server, with its secrets in the file or in variables."""
        leaky_parts.register()
        declared: dict[str, Any] = {}
        for option in secret_options():
            kind, _, name = option.partition(".")
            source = declared.setdefault(kind, {"kind": kind, **REQUIRED[kind]})
            source[name] = form_of_option(option, self.server)
            if isinstance(source[name], str) and name in ("token", "dsn"):
                patch.setenv(f"CANARY_OF_{kind.upper()}", source[name])
                source[name] = f"${{CANARY_OF_{kind.upper()}}}"
        declared["documents"] = {"kind": "filesystem", "folder": str(self.pipeline.documents)}
        path = self.inputs / "sources.yaml"
        path.write_text(yaml.safe_dump({"sources": declared}))
        patch.setenv("RAG_SOURCES_FILE", str(path))

    def use_embedder(self, patch: pytest.MonkeyPatch) -> None:
        """The tables stay in the state folder, so that there are metrics to serve and to push."""
        patch.delenv("RAG_METADATA_URL_FILE", raising=False)
        patch.setenv("RAG_EMBEDDING_MODEL", "tiny-embedding")
        patch.setenv("RAG_TOKENIZER", "wordllama")
        patch.setenv("OPENAI_API_KEY", canary_of("OPENAI_API_KEY"))
        patch.setenv("OPENAI_BASE_URL", form_of_setting("OPENAI_BASE_URL", self.server))

    def use_media(self, patch: pytest.MonkeyPatch) -> None:
        self.pipeline.write("picture.png", png())
        patch.setenv("RAG_VISION_MODEL", "tiny-llava")
        patch.setenv("RAG_MEDIA_BASE_URL", form_of_setting("RAG_MEDIA_BASE_URL", self.server))

    def use_redis(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("REDIS_URL", form_of_setting("REDIS_URL", self.server))

    def use_sentinels(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("REDIS_URL", f"redis://rag:{in_url_of('REDIS_URL')}@mymaster")
        patch.setenv("RAG_REDIS_SENTINELS", f"127.0.0.1:{self.server.port}")
        patch.setenv("RAG_REDIS_SENTINEL_USER", "rag")

    def use_qdrant(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("QDRANT_URL", form_of_setting("QDRANT_URL", self.server))

    def use_secret_in_aws(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("RAG_EMBEDDING_MODEL", "tiny-embedding")
        patch.setenv("OPENAI_API_KEY_AWS_SECRET", "production/openai#key")
        patch.setenv("RAG_MEDIA_API_KEY", "")
        patch.setenv("RAG_MEDIA_API_KEY_AWS_PARAMETER", "/production/media")
        patch.setenv(
            "AWS_ENDPOINT_URL",
            f"{self.server.scheme}://rag:{in_url_of('AWS_SECRET_ACCESS_KEY')}@127.0.0.1:{self.server.port}",
        )

    def use_proxies(self, patch: pytest.MonkeyPatch) -> None:
        """Reach Qdrant, OpenAI and Slack through the failing server."""
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.setenv(name, form_of_setting(name, self.server))
        patch.setenv("RAG_EMBEDDING_MODEL", "text-embedding-3-small")
        patch.setenv("OPENAI_API_KEY", canary_of("OPENAI_API_KEY"))
        patch.setenv("OPENAI_BASE_URL", "http://openai.example.com/v1")

    # Acts

    def refresh(self) -> None:
        """Refresh with the real job, and record what the run raises and posts."""
        with self._recorded("refresh"):
            self.pipeline.refresh()
        with self._recorded("alerts"):
            self._post_alerts()

    def metrics(self) -> None:
        """Print the metrics as Prometheus would read them."""
        from prometheus_client import generate_latest

        from rag_assets.settings import load_settings
        from rag_assets.tracking.metrics_exporter import registry_of

        with self._recorded("metrics"):
            print(generate_latest(registry_of(load_settings())[0]).decode())

    def _post_alerts(self) -> None:
        from rag_assets.alerts.teller import Teller
        from rag_assets.defs.runs.facts import facts_of
        from rag_assets.knowledge_base import KnowledgeBase
        from rag_assets.settings import load_settings

        instance, deadline = self.pipeline.instance, time.monotonic() + 60
        with closing(KnowledgeBase(load_settings())) as knowledge_base:
            teller = Teller(knowledge_base)
            with teller.book_file.locked(deadline) as book:
                facts = [facts_of(instance, one) for one in instance.get_run_records(limit=1)]
                print(teller.tell_in(book, facts, deadline))

    def sensors(self) -> None:
        """Evaluate the schedule and every sensor, as a daemon does, and store the ends of their ticks."""
        import dagster as dg

        from rag_assets.definitions import build_definitions
        from rag_assets.settings import load_settings

        with self._recorded("sensors"):
            definitions = build_definitions(load_settings())
            repository = definitions.get_repository_def()
            resources = repository.get_top_level_resources()
            for sensor in repository.sensor_defs:
                with (
                    self._recorded(sensor.name),
                    dg.build_sensor_context(
                        instance=self.pipeline.instance, repository_def=repository, resources=resources
                    ) as context,
                ):
                    print(sensor.evaluate_tick(context))
            for schedule in repository.schedule_defs:
                with (
                    self._recorded(schedule.name),
                    dg.build_schedule_context(
                        instance=self.pipeline.instance, repository_def=repository, resources=resources
                    ) as context,
                ):
                    print(schedule.evaluate_tick(context))

    def commands(self, *only: str) -> None:
        for command in COMMANDS:
            if only and command[0] not in only:
                continue
            self._num_backups += command[0] == "backup"
            target = str(self.backup / str(self._num_backups))
            with self._recorded(" ".join(command)):
                code, output, errors = self.pipeline.command(
                    *(target if word == "BACKUP" else word for word in command)
                )
                print(code, output, errors, sep="\n")

    @contextmanager
    def _recorded(self, what: str) -> Iterator[None]:
        """Write what is printed, logged at any level, or raised with a traceback, to a file that is scanned."""
        import contextlib

        with (
            self.printed.open("a", encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
        ):
            print(f"--- {self.server.kind}: {what}")
            begun = time.monotonic()
            try:
                yield
            except (Exception, SystemExit) as error:
                traceback.print_exception(error)
            print(f"=== {time.monotonic() - begun:.2f} s")


def _wait_briefly(patch: pytest.MonkeyPatch) -> None:
    """Give up a server that hangs after one second, where no setting says it, and retry without a pause."""
    from openai._base_client import SyncAPIClient

    begin = SyncAPIClient.__init__
    patch.setattr(SyncAPIClient, "__init__", lambda client, **more: begin(client, **more | {"timeout": 1.0}))
    patch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    patch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.001)
    patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    patch.setattr("rag_assets.aws.secrets._TIMEOUT_SECONDS", 1.0)
    patch.setattr("rag_assets.alerts.delivery._STEP_SECONDS", 1.0)


PARTS: dict[str, tuple[Callable[[LeakScene, pytest.MonkeyPatch], None], ...]] = {
    "sources and observers": (LeakScene.use_sources,),
    "embedder": (LeakScene.use_embedder,),
    "media models": (LeakScene.use_media,),
    "Redis": (LeakScene.use_redis,),
    "Sentinels": (LeakScene.use_sentinels,),
    "Qdrant": (LeakScene.use_qdrant,),
    "secrets in AWS": (LeakScene.use_secret_in_aws,),
    "proxies": (LeakScene.use_proxies,),
}


@contextmanager
def debug_log(path: Path) -> Iterator[None]:
    """Write what any package logs at any level to a file, as a person does who looks for a fault."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
