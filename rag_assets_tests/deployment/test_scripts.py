"""The scripts of the stack: random passwords, and the settings that follow from the active profiles."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values

from rag_assets.settings import load_settings
from rag_assets_tests.deployment.test_compose_file import SECRETS

ROOT = Path(__file__).parents[2]
LINES = "QDRANT_URL=http://qdrant:6333\nQDRANT_API_KEY='made # up'\n"


def write_env(file: Path, *, folder: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "deployment" / "write-env.sh"
    return subprocess.run(["sh", str(script), str(file)], cwd=folder, capture_output=True, text=True)


def test_the_env_file_holds_random_passwords_and_profiles_only(tmp_path: Path) -> None:
    files = [tmp_path / "one.env", tmp_path / "other.env"]
    for file in files:
        assert write_env(file, folder=tmp_path).returncode == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first, second = map(dotenv_values, files)
    assert first.keys() == {*SECRETS, "COMPOSE_PROFILES"}
    assert first["COMPOSE_PROFILES"] == "qdrant,mlflow,grafana"
    passwords = [values[name] or "" for values in (first, second) for name in SECRETS]
    assert len(set(passwords)) == 8
    assert all(len(password) == 32 and password.isalnum() for password in passwords)
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_existing_env_file_is_left_as_it_is(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "file.env"
    if kind == "file":
        file.write_text("A=1\n")
    else:
        file.symlink_to(tmp_path / "nowhere")
    done = write_env(file, folder=tmp_path)
    assert done.returncode == 1
    assert "exists, nothing was written" in done.stderr
    assert list(tmp_path.iterdir()) == [file]
    assert kind == "link" or file.read_text() == "A=1\n"


def test_the_script_writes_beside_the_compose_file_from_any_folder(tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    (copied / "deployment").mkdir(parents=True)
    script = copied / "deployment" / "write-env.sh"
    script.write_bytes((ROOT / "deployment" / "write-env.sh").read_bytes())
    done = subprocess.run(["sh", str(script)], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (copied / ".env").exists()


def enter(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(ROOT / "deployment" / "entrypoint.sh"), "echo", "started"],
        env={"PATH": os.environ["PATH"], "RAG_HOME": str(home), "PROFILE_QDRANT": LINES, **variables},
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("profiles", ["qdrant", "mlflow,qdrant", "mlflow, qdrant , grafana", "*"])
def test_the_active_profile_of_qdrant_names_its_server(
    profiles: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = enter(tmp_path, COMPOSE_PROFILES=profiles)
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "vectors: Qdrant" in done.stderr
    assert "made" not in done.stderr
    monkeypatch.setenv("RAG_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.qdrant_url == "http://qdrant:6333"
    assert settings.qdrant_api_key is not None
    assert settings.qdrant_api_key.get_secret_value() == "made # up"


@pytest.mark.parametrize("profiles", ["", "mlflow,grafana", "qdrant2", "notqdrant"])
def test_without_the_profile_vectors_are_in_the_state_folder(
    profiles: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert enter(tmp_path, COMPOSE_PROFILES="qdrant").returncode == 0
    done = enter(tmp_path, COMPOSE_PROFILES=profiles)
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "vectors: the state folder" in done.stderr
    monkeypatch.setenv("RAG_HOME", str(tmp_path))
    assert load_settings().qdrant_url is None


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"COMPOSE_PROFILES": "qdrant,mlflow"}, ("http://mlflow:5000", "http://localhost:5001")),
        ({"COMPOSE_PROFILES": "mlflow"}, ("http://mlflow:5000", "http://localhost:5001")),
        (
            {"COMPOSE_PROFILES": "mlflow", "RAG_MLFLOW_URL": "https://ml.example.com"},
            ("http://mlflow:5000", "https://ml.example.com"),
        ),
        ({"COMPOSE_PROFILES": "mlflow", "MLFLOW_TRACKING_URI": "http://own:5000"}, ("http://own:5000", "")),
        ({"COMPOSE_PROFILES": "qdrant"}, (None, "")),
        ({"MLFLOW_TRACKING_URI": "http://own:5000"}, ("http://own:5000", "")),
    ],
)
def test_runs_go_to_the_service_of_the_profile_or_to_an_own_server(
    variables: dict[str, str],
    expected: tuple[str | None, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = "MLFLOW_TRACKING_URI=http://mlflow:5000\nRAG_MLFLOW_URL=http://localhost:5001\n"
    assert enter(tmp_path, PROFILE_MLFLOW=lines, **variables).returncode == 0
    for name, value in {**variables, "RAG_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    uri = settings.mlflow_tracking_uri
    assert (uri.get_secret_value() if uri else None, settings.mlflow_url) == expected


def test_two_places_for_the_vectors_are_refused(tmp_path: Path) -> None:
    done = enter(tmp_path, COMPOSE_PROFILES="qdrant", QDRANT_URL="http://elsewhere:6333")
    assert done.returncode != 0
    assert "remove one of them" in done.stderr
    assert not done.stdout
    assert enter(tmp_path, QDRANT_URL="http://elsewhere:6333").returncode == 0


def test_the_image_gets_no_secret_and_no_test(tmp_path: Path) -> None:
    from docker.utils.build import exclude_paths

    kept_out = (
        *(
            ".env",
            ".env.example",
            ".git/config",
            ".rag/ledger.sqlite",
            ".dagster/storage/x",
            "docs/README.md",
        ),
        *("rag_assets/.env", "rag_assets/__pycache__/x.pyc", "rag_assets_tests/x.py", "data/documents/x.pdf"),
        *("deployment/secrets/openai_api_key", "deployment/settings.env", "deployment/.env", "my.env"),
    )
    needed = ("pyproject.toml", "constraints.txt", "rag_assets/defs/x.py", "deployment/entrypoint.sh")
    for name in (*kept_out, *needed):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    sent = {name for name in exclude_paths(str(tmp_path), patterns) if (tmp_path / name).is_file()}
    assert sent - {"Dockerfile", ".dockerignore"} == set(needed)
