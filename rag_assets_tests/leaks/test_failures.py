"""Every part fails in every way, and no canary is in anything that is kept, printed or logged."""

from collections.abc import Iterator

import pytest

from rag_assets.sources.registry import SOURCES
from rag_assets_tests.leaks.canaries import names_of
from rag_assets_tests.leaks.scanner import canaries_in, canaries_in_folder
from rag_assets_tests.leaks.scenes import DAGSTER_YAML, PARTS, LeakScene, debug_log
from rag_assets_tests.leaks.servers import KINDS

SAMPLE = {(part, "401") for part in ("sources and observers", "Redis")}
"""Clients of HTTP and of another protocol. `test_mcp_server` has Qdrant in a plain run."""
ALL_COMMANDS = {"sources and observers": ("401", "500"), "Redis": ("500",), "Qdrant": ("403",)}
FEW_COMMANDS = ("doctor", "status", "plan", "metrics")
WITH_DEBUG_LOGS = "python_logs:\n  python_log_level: DEBUG\n  managed_python_loggers: [root]\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeakScene]:
    text = DAGSTER_YAML.read_text().replace("python_logs:\n  python_log_level: INFO\n", WITH_DEBUG_LOGS)
    assert WITH_DEBUG_LOGS in text
    with pytest.MonkeyPatch.context() as patch:
        scene = LeakScene(tmp_path_factory.mktemp("leaks"), patch, text)
        yield scene
        scene.close()


@pytest.fixture(scope="module")
def found_before() -> set[str]:
    return set()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("part", "kind"),
    [
        pytest.param(part, kind, marks=() if (part, kind) in SAMPLE else pytest.mark.soak)
        for part in PARTS
        for kind in KINDS
    ],
)
def test_no_canary_is_kept_or_shown(
    part: str, kind: str, scene: LeakScene, found_before: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.server.kind = kind
    scene.use_secrets(monkeypatch)
    for use in PARTS[part]:
        use(scene, monkeypatch)
    before = scene.server.num_requests
    with debug_log(scene.pipeline.home / "debug.log"):
        scene.refresh()
        scene.sensors()
        scene.metrics()
        scene.commands(*(() if kind in ALL_COMMANDS.get(part, ()) else FEW_COMMANDS))
    assert kind == "refused" or kind == "untrusted" or scene.server.num_requests > before, "nothing was asked"
    assert new_finds(scene, found_before) == {}
    assert canaries_in(b"".join(scene.server.posted_to_slack)) == set()
    if (part, kind) == ("sources and observers", "401"):
        printed = scene.printed.read_text()
        for name in SOURCES.keys() - {"filesystem"}:
            assert f"source {name}" in printed, "a source has not failed"
        assert scene.server.posted_to_slack
    if part == "embedder":
        assert "rag_documents_extracted" in scene.printed.read_text(), "the metrics were not read"


def new_finds(scene: LeakScene, found_before: set[str]) -> dict[str, list[str]]:
    """Return place -> variables. A place is reported once: all cases of this module write to the same files."""
    found = {place: names_of(numbers) for place, numbers in canaries_in_folder(scene.pipeline.home).items()}
    new = {place: names for place, names in found.items() if f"{place} {names}" not in found_before}
    found_before |= {f"{place} {names}" for place, names in found.items()}
    return new
