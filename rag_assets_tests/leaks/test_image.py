"""No file with a secret, and no state or document, reaches an image: the engine itself reads the folder of the build."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from rag_assets_tests.deployment.base_images import missing_part
from rag_assets_tests.deployment.stack import docker
from rag_assets_tests.leaks.canaries import canary
from rag_assets_tests.leaks.scanner import canaries_in, canaries_in_folder

ROOT = Path(__file__).parents[2]
PLANTED = 997
WITH_SECRETS = (
    ".env",
    ".env.local",
    "stack.env",
    "deployment/.env",
    "deployment/stack.env",
    "deployment/secrets/slack",
    "rag_assets/.env",
    "rag_assets/cli/.env.production",
    ".rag/ledger.sqlite",
    ".dagster/storage/runs.db",
    ".git/config",
    "data/documents/secret.md",
    "data/urls_to_scrape.txt",
    "deployment/sources.yaml",
    "deployment/settings.env",
    "backups/1/vectors.parquet",
)


@pytest.mark.soak
@pytest.mark.xdist_group("docker")
def test_no_layer_of_an_image_holds_a_canary(tmp_path: Path) -> None:
    if missing := missing_part():
        pytest.skip(missing)
    context = tmp_path / "context"
    files = subprocess.run(
        ["git", "ls-files", "rag_assets", "deployment", "*.toml", "*.cfg", "*.md", "LICENSE", "*.txt"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for name in (*files, ".dockerignore"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_bytes((ROOT / name).read_bytes())
    for number, name in enumerate(WITH_SECRETS):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(canary(900 + number))
    (context / "rag_assets" / "planted.txt").write_text(canary(PLANTED))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    tag = f"rag-assets-leaks:{tmp_path.name.lower()}"
    try:
        docker("build", "--tag", tag, str(context))
        history = docker("history", "--no-trunc", tag)
        docker("save", "--output", str(tmp_path / "image.tar"), tag)
    finally:
        subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, check=False)
    layers = tmp_path / "layers"
    with tarfile.open(tmp_path / "image.tar") as image:
        image.extractall(layers, filter="data")
    found = set().union(*canaries_in_folder(layers).values())
    assert found == {str(PLANTED)}
    assert canaries_in(history.encode()) == set()
