"""docker-compose.yml: hardened, pinned, closed to the outside, and accepted by the Compose tool from any folder."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "QDRANT_API_KEY", "GRAFANA_PASSWORD")
PORTS = {
    "webserver": ("DAGSTER_PORT", "8080"),
    "grafana": ("GRAFANA_PORT", "3000"),
    "mlflow": ("MLFLOW_PORT", "5000"),
    "qdrant": ("QDRANT_PORT", "6333"),
    "prometheus": ("PROMETHEUS_PORT", "9090"),
}
STACK: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
# The schema of the installed Compose tool, and one of one's own choice, such as the newest of the Compose Specification.
SCHEMAS = [
    Path("/usr/lib/python3/dist-packages/compose/config/compose_spec.json"),
    *map(Path, filter(None, [os.environ.get("COMPOSE_SPEC_SCHEMA")])),
]


def compose(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("docker-compose") is None:
        pytest.skip("there is no docker-compose")
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["docker-compose", "--file", str(FILE), *arguments],
        cwd=folder, env=clean | variables, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def with_secrets(without: str = "") -> dict[str, str]:
    return {name: f"made-up-for-{name.lower()}" for name in SECRETS if name != without}


def test_all_parts_are_services() -> None:
    expected = (
        "webserver daemon code-location postgres redis qdrant mlflow metrics prometheus alertmanager grafana"
    )
    assert SERVICES.keys() == set(expected.split())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened_limited_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service["user"].startswith(("0:", "root"))
    assert "privileged" not in service
    assert service["healthcheck"]["test"]
    assert {"mem_limit", "cpus", "pids_limit", "logging"} <= service.keys()
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_version_and_no_registry(name: str) -> None:
    image = re.sub(r"\$\{IMAGE_TAG:-([\d.]+)\}", r"\1", SERVICES[name]["image"])
    assert re.fullmatch(r"[a-z][a-z-]*(/[a-z-]+)?:v?\d+\.\d+\.\d+(-\w+)?|postgres:\d+\.\d+-\w+", image)


def test_base_images_of_the_dockerfile_have_versions() -> None:
    stages = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(stages) == {"${PYTHON_IMAGE}"}
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(.+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", image)


def test_ports_are_settings_and_open_on_loopback_only() -> None:
    opened = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert opened.keys() == PORTS.keys()
    for name, (variable, default) in PORTS.items():
        (port,) = opened[name]
        assert port.startswith(f"${{BIND_ADDRESS:-127.0.0.1}}:${{{variable}:-{default}}}:")


def test_the_stores_are_on_an_internal_network() -> None:
    assert STACK["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["inside"]


def test_nothing_waits_for_a_service_behind_a_profile() -> None:
    optional = {name for name, service in SERVICES.items() if service.get("profiles")}
    assert optional == {"qdrant", "mlflow", "grafana"}
    waited_for = {other for service in SERVICES.values() for other in service.get("depends_on", ())}
    assert waited_for
    assert not waited_for & optional
    for service in SERVICES.values():
        assert all(how == {"condition": "service_healthy"} for how in service.get("depends_on", {}).values())


def test_folders_and_files_of_the_user_are_mounted_read_only_with_a_default_in_the_repository() -> None:
    binds = [
        volume for service in SERVICES.values() for volume in service["volumes"] if isinstance(volume, dict)
    ]
    variables: set[str] = set()
    for bind in binds:
        assert bind["read_only"] is True
        variable, default = re.findall(r"^(?:\$\{(\w+):-)?(\./[^}]+)\}?$", bind["source"])[0]
        assert (ROOT / default).exists(), default
        variables.add(variable)
    assert variables - {""} == {
        *("RAG_DOCUMENTS_DIR", "RAG_SOURCES_FILE", "RAG_URLS_FILE", "RAG_BENCHMARK_FILE"),
        *("DAGSTER_YAML", "SECRETS_DIR"),
    }


def test_every_volume_is_named() -> None:
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service["volumes"]
        if isinstance(volume, str)
    }
    assert used == STACK["volumes"].keys()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_the_file_fits_the_compose_specification(schema: Path) -> None:
    if not schema.exists():
        pytest.skip(f"there is no {schema}")
    jsonschema.validate(STACK, json.loads(schema.read_text()))


@pytest.mark.parametrize("secret", SECRETS)
def test_the_stack_does_not_start_without_a_password(secret: str, tmp_path: Path) -> None:
    done = compose("config", folder=tmp_path, **with_secrets(without=secret))
    assert done.returncode != 0
    assert f"{secret} is not set. Run sh deployment/write-env.sh" in done.stderr
    assert not any(value in done.stderr + done.stdout for value in with_secrets().values())


def test_the_stack_starts_from_any_folder(tmp_path: Path) -> None:
    done = compose("config", folder=tmp_path, **with_secrets())
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    sources = {
        volume["source"]
        for service in found["services"].values()
        for volume in service["volumes"]
        if isinstance(volume, dict)
    }
    assert str(ROOT / "data/documents") in sources
    assert all(Path(source).exists() for source in sources)


def test_the_example_with_tls_adds_a_proxy_and_opens_no_other_port(tmp_path: Path) -> None:
    both = ("--file", str(ROOT / "deployment" / "docker-compose.tls.yml"), "config")
    assert "DOMAIN is not set" in compose(*both, folder=tmp_path, **with_secrets()).stderr
    login = {"DOMAIN": "kb.example.com", "LOGIN_USER": "ana", "LOGIN_HASH": "made-up-hash"}
    done = compose(*both, folder=tmp_path, **with_secrets(), **login)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services.keys() - SERVICES.keys() == {"caddy"}
    mounted = {volume["source"] for volume in services["caddy"]["volumes"] if isinstance(volume, dict)}
    assert mounted == {str(ROOT / "deployment" / "tls")}
    # Compose tools print a port as text, or as an object for such a plain one.
    open_to_all = {
        name
        for name, service in services.items()
        if not all("127.0.0.1" in str(port) for port in service.get("ports", ()))
    }
    assert open_to_all == {"caddy"}
