"""The stack on the Docker engine of this machine, from an empty one to a refresh by the schedule. Half an hour with its images.

The tests build on each other, in this order.
"""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets_tests.deployment.base_images import make_base_images, missing_part
from rag_assets_tests.deployment.stack import CANARY, SERVICES, Stack, docker

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600), pytest.mark.xdist_group("docker")]
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


def test_a_mounted_folder_is_refreshed_through_the_api_of_the_ui(stack: Stack) -> None:
    run_id = stack.launch("refresh")
    run = stack.ended(lambda run: run["runId"] == run_id)
    assert run["status"] == "SUCCESS", stack.compose("logs", "--no-color", "code-location").stdout[-5000:]


def test_another_container_searches(stack: Stack) -> None:
    found = stack.in_another_container("rag-assets", "search", "Where is the centrifuge?")
    assert "centrifuge.md" in found
    assert "cellar of house 10" in found


def test_one_command_refreshes_too(stack: Stack) -> None:
    stack.write("gramophone.md", "gramophone")
    shown = stack.execute("code-location", "rag-assets", "refresh")
    assert "LIVE" in shown, shown
    assert "1 added" in shown


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
    assert set(outcomes.split()) == {"live"}


def test_down_and_up_again_loses_nothing(stack: Stack) -> None:
    before: tuple[Any, ...] = production(stack), {run["runId"]: run["status"] for run in stack.runs()}
    stack.compose("down")
    stack.up()
    assert (production(stack), {run["runId"]: run["status"] for run in stack.runs()}) == before
    assert "gramophone.md" in stack.in_another_container("rag-assets", "search", "Where is the gramophone?")
    assert "UNCHANGED" in stack.execute("code-location", "rag-assets", "refresh")


def test_the_schedule_refreshes(stack: Stack) -> None:
    stack.write("heliograph.md", "heliograph")
    stack.configure(automatic=True)
    stack.up()

    def is_of_schedule(run: dict[str, Any]) -> bool:
        return {"key": "dagster/schedule_name", "value": "refresh_on_schedule"} in run["tags"]

    assert stack.ended(is_of_schedule)["status"] == "SUCCESS"
    found = stack.in_another_container("rag-assets", "search", "Where is the heliograph?")
    assert "heliograph.md" in found


def test_no_secret_is_in_images_logs_and_databases(stack: Stack) -> None:
    places = {
        "logs": stack.compose("logs", "--no-color").stdout,
        "history": docker("history", "--no-trunc", f"rag-assets:{stack.tag}"),
        "image": docker("image", "inspect", f"rag-assets:{stack.tag}"),
        "dagster": stack.execute("postgres", "pg_dump", "-U", "rag_assets", "dagster"),
        "metadata": stack.execute("postgres", "pg_dump", "-U", "rag_assets", "rag_metadata"),
        "processes": "".join(
            docker("top", stack.container(service), "-o", "pid,args") for service in SERVICES
        ),
        "settings": stack.execute("code-location", "rag-assets", "settings"),
    }
    assert all(places.values())
    secrets = [CANARY, *stack.passwords]
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
