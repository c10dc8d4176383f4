"""The commands of `dg`, on this repository as committed, with a temporary home and state folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster
import pytest

from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings

REPOSITORY = Path(__file__).parents[1]
DG = Path(sys.executable).with_name("dg")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    if not DG.exists() and not os.environ.get("CI"):
        pytest.skip("dg is not installed: pip install -c constraints.txt -e '.[dev]'")
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    return tmp_path


def dg(home: Path, *arguments: str, project: Path = REPOSITORY) -> "subprocess.CompletedProcess[str]":
    ours = ("RAG_", "OPENAI_", "QDRANT_", "SLACK_", "DAGSTER_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {
        "PATH": f"{DG.parent}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_HOME": str(home),
        "RAG_STATE_DIR": str(home / "state"),
    }
    return subprocess.run(
        [DG, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )


def test_dg_finds_nothing_wrong_with_the_project(home: Path) -> None:
    for kind in ("toml", "defs"):
        done = dg(home, "check", kind)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stdout + done.stderr
        assert "elemetry" not in done.stdout + done.stderr


def test_dg_lists_all_definitions(home: Path) -> None:
    done = dg(home, "list", "defs", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assets = {entry["asset_key"]: entry for entry in listed.pop("assets")}
    assert assets.keys() == {asset.key.to_user_string() for asset in ALL_ASSETS}
    assert all(entry["description"] and entry["owners"] and entry["kinds"] for entry in assets.values())
    found = {kind: {entry["name"] for entry in entries} for kind, entries in listed.items()}
    assert found["asset_checks"] == {
        "recall_gate",
        "sources_complete",
        "nothing_quarantined",
        "nothing_refused",
    }
    assert found["jobs"] == {"refresh", "rollback", "resume", "approve"}
    assert found["schedules"] == {"refresh_on_schedule"}
    assert found["sensors"] == {
        "refresh_on_changed_documents",
        "slack_alerts",
        "follow_upstream",
    }


def test_dg_scaffolds_beside_our_definitions_and_not_among_them(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for folder in ("defs", "scaffolded"):
        (project / "rag_assets" / folder).mkdir(parents=True)
        (project / "rag_assets" / folder / "__init__.py").touch()
    shutil.copy(REPOSITORY / "pyproject.toml", project)
    before = set(project.rglob("*.py"))
    done = dg(home, "scaffold", "defs", "dagster.asset", "new_asset.py", project=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(project.rglob("*.py")) - before == {project / "rag_assets" / "scaffolded" / "new_asset.py"}


def test_autoloading_finds_none_of_our_definitions() -> None:
    loaded = dagster.load_from_defs_folder(path_within_project=REPOSITORY)
    assert [
        *(loaded.assets or ()),
        *(loaded.jobs or ()),
        *(loaded.schedules or ()),
        *(loaded.sensors or ()),
    ] == []


def test_nothing_waits_in_the_folder_that_is_not_loaded() -> None:
    folder = REPOSITORY / "rag_assets" / "scaffolded"
    files = {path.name for path in folder.iterdir() if path.name != "__pycache__"}
    assert files == {"__init__.py"}, (
        "move scaffolded files to rag_assets/defs and list them in definitions.py"
    )


def test_dg_launches_a_refresh(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = dg(home, "launch", "--assets", "*")
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setenv("RAG_STATE_DIR", str(home / "state"))
    knowledge_base = KnowledgeBase(load_settings())
    try:
        assert knowledge_base.vector_store.production_state().production is not None
    finally:
        knowledge_base.close()
