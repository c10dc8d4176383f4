"""The stack on the Docker engine of this machine, from an empty one to a refresh by the schedule. Half an hour with its images.

The tests build on each other, in this order.
"""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets.defs.run_tags import LEASE_TAG
from rag_assets_tests.deployment.base_images import make_base_images, missing_part
from rag_assets_tests.deployment.stack import CANARY, SERVICES, TLS, Stack, docker, wait_for

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600), pytest.mark.xdist_group("docker")]
IMAGES = ("rag-assets", "rag-assets-mlflow")
SUBJECTS = ("astrolabe", "barometer", "centrifuge", "dictaphone", "epidiascope", "furnace")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if missing := missing_part():
        pytest.skip(missing)
    make_base_images()
    stack = Stack(tmp_path_factory.mktemp("stack"))
    for subject in SUBJECTS:
        stack.write(f"{subject}.md", subject)
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()


def mlflow(stack: Stack, path: str, **body: Any) -> Any:
    """Ask the API of MLflow."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.port['MLFLOW_PORT']}/api/2.0/mlflow/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def mlflow_experiments(stack: Stack) -> list[str]:
    found = mlflow(stack, "experiments/search", max_results=100)["experiments"]
    return [one["experiment_id"] for one in found if one["name"] == "knowledge_base"]


def runs_in_mlflow(stack: Stack) -> list[Any]:
    """Return the runs that were sent completely."""
    if not (experiments := mlflow_experiments(stack)):
        return []
    complete = mlflow(stack, "runs/search", experiment_ids=experiments, filter="tags.is_complete = 'yes'")
    return list(complete.get("runs", ()))


def kill_children_of_the_server(stack: Stack) -> None:
    """Kill the processes of the runs in the code location, and nothing else of it."""
    found: dict[int, tuple[int, str]] = {}
    for line in docker("top", stack.container("code-location"), "-o", "pid,ppid,args").splitlines()[1:]:
        process, parent, arguments = line.split(maxsplit=2)
        found[int(process)] = (int(parent), arguments)
    [server] = [
        process
        for process, (_, arguments) in found.items()
        if "python" in arguments and "api grpc" in arguments
    ]
    runs = [
        process
        for process, (parent, arguments) in found.items()
        if parent == server and "spawn_main" in arguments
    ]
    assert runs, found
    for process in runs:
        os.kill(process, signal.SIGKILL)


def production(stack: Stack) -> str:
    lines = stack.execute("code-location", "rag-assets", "status").splitlines()
    return next(line for line in lines if "production" in line)


def test_all_services_are_healthy(stack: Stack) -> None:
    assert stack.health() == dict.fromkeys(SERVICES, "healthy")


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_is_root_or_writes_to_its_image(service: str, stack: Stack) -> None:
    assert stack.execute(service, "id", "-u").strip() != "0"
    assert stack.compose("exec", "-T", service, "touch", "/etc/x", check=False).returncode != 0
    capabilities = stack.execute(service, "grep", "-E", "CapEff|NoNewPrivs", "/proc/1/status").split()
    assert capabilities == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]


def test_nothing_listens_outside_loopback(stack: Stack) -> None:
    network = docker("inspect", "--format", "{{json .NetworkSettings}}", stack.container("webserver"))
    gateway = next(filter(None, re.findall(r'"Gateway":"([^"]*)"', network)))  # an address of this machine
    for name in ("DAGSTER_PORT", "PROMETHEUS_PORT", "MLFLOW_PORT"):
        with socket.create_connection(("127.0.0.1", stack.port[name]), 10):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((gateway, stack.port[name]), 10)


def test_a_mounted_folder_is_refreshed_through_the_api_of_the_ui(stack: Stack) -> None:
    run_id = stack.launch("refresh")
    run = stack.ended(lambda run: run["runId"] == run_id)
    assert run["status"] == "SUCCESS", stack.compose("logs", "--no-color", "code-location").stdout[-5000:]


def test_its_numbers_are_in_prometheus(stack: Stack) -> None:
    def extracted() -> bool:
        return stack.sample("rag_documents_extracted_total") == len(SUBJECTS)

    wait_for(extracted, lambda: stack.prometheus("targets"))
    assert stack.sample("rag_promotions_total") == 1
    assert stack.sample('rag_eval_recall_at_5{generation="production"}') == 1
    targets = stack.prometheus("targets", state="active")["activeTargets"]
    assert {target["labels"]["job"]: target["health"] for target in targets} == {
        "rag-assets": "up",
        "prometheus": "up",
        "alertmanager": "up",
    }
    rules = [rule for group in stack.prometheus("rules")["groups"] for rule in group["rules"]]
    assert rules
    assert {(rule["health"], rule.get("lastError")) for rule in rules} == {("ok", None)}
    [alertmanager] = stack.prometheus("alertmanagers")["activeAlertmanagers"]
    assert alertmanager["url"].startswith("http://alertmanager:9093/")


def test_its_run_is_in_mlflow(stack: Stack) -> None:
    # Sent by a process that the refresh does not wait for.
    [run] = wait_for(lambda: runs_in_mlflow(stack), lambda: mlflow_experiments(stack))
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["outcome"], tags["is_complete"]) == ("live", "yes")
    assert tags["dagster_run_id"] == stack.runs()[-1]["runId"]
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert (metrics["documents_processed"], metrics["recall_at_5"]) == (len(SUBJECTS), 1)
    report = f"get-artifact?path=report.html&run_uuid={run['info']['run_id']}"
    with urllib.request.urlopen(
        f"http://127.0.0.1:{stack.port['MLFLOW_PORT']}/{report}", timeout=60
    ) as answer:
        assert b"Where is the furnace?" in answer.read()


def test_the_daemon_tells_its_end_in_slack(stack: Stack) -> None:
    message = stack.wait_until_told("A new generation is live", stack.runs()[-1]["runId"][:8])
    assert "Recall@5 1.000" in message


def test_a_killed_refresh_rings_through_prometheus_and_alertmanager(stack: Stack) -> None:
    for number in range(300):
        (stack.documents / f"note{number}.md").write_text(f"# Note {number}\n\nNote {number} is short.\n")
    run_id = stack.launch("refresh")

    def has_lease() -> bool:
        return any(
            run["runId"] == run_id and {"key": LEASE_TAG, "value": "yes"} in run["tags"]
            for run in stack.runs()
        )

    wait_for(has_lease, stack.runs, pause_seconds=0.1)
    kill_children_of_the_server(stack)
    refreshed = stack.execute("code-location", "rag-assets", "refresh")
    assert "LIVE" in refreshed
    assert "300 added" in refreshed
    message = stack.wait_until_told("RagRunDied")
    assert "1 firing: knowledge base knowledge_base" in message
    assert "docs/operations.md#ragrundied" in message


def test_another_container_searches(stack: Stack) -> None:
    found = stack.in_another_container("rag-assets", "search", "Where is the centrifuge?")
    assert "centrifuge.md" in found
    assert "cellar of house 10" in found


def test_one_command_refreshes_too(stack: Stack) -> None:
    stack.write("gramophone.md", "gramophone")
    shown = stack.execute("code-location", "rag-assets", "refresh")
    assert "LIVE" in shown, shown
    assert "1 added" in shown


def test_status_says_that_every_source_is_asked(stack: Stack) -> None:
    assert "NOT ASKED" not in stack.execute("code-location", "rag-assets", "status")


def test_a_backup_in_a_folder_of_the_machine_restores_production(stack: Stack) -> None:
    backups = stack.folder_for_the_user_of_the_containers("backups")
    mounted = ("run", "--rm", "-T", "--volume", f"{backups}:/backups", "code-location", "rag-assets")
    exported = stack.execute("code-location", "rag-assets", "export")
    stack.compose(*mounted, "backup", "/backups/first")
    stack.compose(*mounted, "restore", "/backups/first", "--into-living", "knowledge_base")
    assert stack.execute("code-location", "rag-assets", "export") == exported


def test_ledger_and_metadata_are_on_the_services(stack: Stack) -> None:
    keys = stack.execute("redis", "sh", "-c", 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli dbsize')
    assert int(keys.split()[-1]) > 0
    events = stack.execute(
        "postgres",
        "psql",
        "-U",
        "rag_assets",
        "-d",
        "dagster",
        "-At",
        "-c",
        "SELECT count(*) FROM event_logs",
    )
    assert int(events) > 20
    outcomes = stack.execute(
        "postgres",
        "psql",
        "-U",
        "rag_assets",
        "-d",
        "rag_metadata",
        "-At",
        "-c",
        "SELECT outcome FROM rag_refreshes",
    )
    assert set(outcomes.split()) == {"live", "died"}


def test_down_and_up_again_loses_nothing(stack: Stack) -> None:
    before: tuple[Any, ...] = production(stack), {run["runId"]: run["status"] for run in stack.runs()}
    stack.compose("down")
    stack.up()
    assert (production(stack), {run["runId"]: run["status"] for run in stack.runs()}) == before
    assert "gramophone.md" in stack.in_another_container("rag-assets", "search", "Where is the gramophone?")
    assert "UNCHANGED" in stack.execute("code-location", "rag-assets", "refresh")


def test_the_schedule_refreshes(stack: Stack) -> None:
    stack.write("heliograph.md", "heliograph")
    stack.configure(RAG_AUTO_REFRESH="true")
    stack.up()

    def is_of_schedule(run: dict[str, Any]) -> bool:
        return {"key": "dagster/schedule_name", "value": "refresh_on_schedule"} in run["tags"]

    assert stack.ended(is_of_schedule)["status"] == "SUCCESS"
    found = stack.in_another_container("rag-assets", "search", "Where is the heliograph?")
    assert "heliograph.md" in found


def test_tls_and_a_login_stand_in_front_of_the_ui(stack: Stack) -> None:
    hashed = subprocess.run(
        ["docker", "run", "--rm", "--interactive", "caddy:2.10.0", "caddy", "hash-password"],
        input="open sesame\n", capture_output=True, text=True, check=True, timeout=120,
    ).stdout.strip()  # fmt: skip
    stack.files.append(TLS)
    stack.configure(DOMAIN="localhost", LOGIN_USER="ana", LOGIN_HASH=f"'{hashed}'")
    stack.up("caddy")
    # Caddy has an authority of its own for the name localhost.
    root = stack.execute("caddy", "cat", "/data/caddy/pki/authorities/local/root.crt")
    trusting = ssl.create_default_context(cadata=root)

    def answer(login: str = "") -> tuple[int, str]:
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        try:
            request = urllib.request.Request("https://localhost/", headers=headers)
            with urllib.request.urlopen(request, context=trusting, timeout=60) as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert answer() == (401, "")
    assert answer("ana:open") == (401, "")
    status, page = answer("ana:open sesame")
    assert status == 200
    assert "Dagster" in page
    # Root, and of its rights only the one to open ports below 1024.
    assert stack.execute("caddy", "grep", "CapEff", "/proc/1/status").split()[1] == "0000000000000400"
    stack.files.remove(TLS)
    stack.up()


@pytest.mark.skipif(not os.environ.get("QDRANT_TEST_EXECUTABLE"), reason="QDRANT_TEST_EXECUTABLE is not set")
def test_the_profile_moves_the_vectors_to_qdrant(stack: Stack) -> None:
    stack.configure(COMPOSE_PROFILES="qdrant,mlflow", RAG_AUTO_REFRESH="false")
    stack.up("qdrant")
    begin = time.time()
    assert "LIVE" in stack.execute("code-location", "rag-assets", "refresh")
    found = stack.in_another_container("rag-assets", "search", "Where is the heliograph?")
    assert "heliograph.md" in found
    url = f"http://127.0.0.1:{stack.port['QDRANT_PORT']}/collections"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=60)
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"api-key": stack.passwords["QDRANT_API_KEY"]}), timeout=60
    ) as answer:
        names = [one["name"] for one in json.load(answer)["result"]["collections"]]
    assert any(name.startswith("knowledge_base--") for name in names), names
    # The exporter follows: these are the numbers of the knowledge base in Qdrant.
    wait_for(
        lambda: (stack.sample("rag_last_success_timestamp_seconds") or 0) > begin,
        lambda: stack.prometheus("query", query="rag_last_success_timestamp_seconds"),
    )


def test_no_secret_is_in_images_logs_and_databases(stack: Stack) -> None:
    places = {
        "logs": stack.compose("logs", "--no-color", *SERVICES).stdout,
        **{
            f"history of {image}": docker("history", "--no-trunc", f"{image}:{stack.tag}") for image in IMAGES
        },
        **{image: docker("image", "inspect", f"{image}:{stack.tag}") for image in IMAGES},
        "dagster": stack.execute("postgres", "pg_dump", "-U", "rag_assets", "dagster"),
        "metadata": stack.execute("postgres", "pg_dump", "-U", "rag_assets", "rag_metadata"),
        "processes": "".join(
            docker("top", stack.container(service), "-o", "pid,args") for service in SERVICES
        ),
        "settings": stack.execute("code-location", "rag-assets", "settings"),
    }
    assert all(places.values())
    secrets = [CANARY, *stack.passwords.values()]
    assert len(secrets) == 5
    assert [
        (place, secret[:6]) for place, text in places.items() for secret in secrets if secret in text
    ] == []
    pattern = "\n".join(secrets)
    layers = subprocess.run(
        ["sh", "-c", f"docker save rag-assets:{stack.tag} | grep --text --fixed-strings --count --file /dev/fd/3 3<<'END'\n{pattern}\nEND"],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert layers.stdout.strip() == "0", layers
