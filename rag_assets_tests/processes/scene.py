"""A small generated knowledge base in its own folders, for tests with real processes."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import SecretStr

from rag_assets.generations.digest import UNHASHED_FIELDS
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

DAGSTER_YAML = Path(__file__).parents[2] / "dagster.yaml"

TOPICS = {
    "parking": "permit garage barrier bicycle visitor bay plate level charging gate",
    "kitchen": "dishwasher fridge coffee mug oven tea leftovers sink cupboard lunch",
    "security": "badge phishing password laptop encryption incident visitor lock screen report",
    "vacation": "holiday leave calendar request approval carryover manager absence weekend days",
    "expenses": "receipt reimbursement invoice mileage limit currency card claim hotel meal",
    "pets": "dog cat leash allergy desk carpet vaccination owner bark bowl",
    "printing": "toner paper tray scanner queue colour duplex driver jam cartridge",
    "travel": "train flight booking visa luggage insurance itinerary station seat delay",
}
QUESTION = "How do I get a parking permit for the garage?"


def text_about(topic: str, edition: int = 1) -> str:
    """Return some pages of deterministic text. Other editions differ in one section."""
    words = TOPICS[topic].split()
    lines = [f"# {topic.title()} rules", ""]
    for section in range(12):
        first, second, third = (words[(section * step + 1) % 10] for step in (1, 3, 7))
        lines += [
            f"## {first.title()} and {second}",
            "",
            (
                f"About {topic}, rule {section}: every {first} needs a {second} before the {third} is used. "
                f"Whoever has no {second} asks the {topic} desk for one, and brings the {first} along. "
                f"The {third} is checked on day {section + 1} of each month."
            ),
            "",
        ]
        if section == 5 and edition > 1:
            lines += [f"Since edition {edition} a {topic} permit for the garage costs {edition} euros.", ""]
    return "\n".join(lines)


@dataclass(frozen=True)
class Scene:
    """One Dagster home with its state folder. Several scenes may share the documents.

    A state folder may be copied. The documents must stay in their folder, because their URIs are absolute.

    Attributes:
        all_indexes: whether a `RefreshProcess` writes all payload indexes, or small generations.
        redis_url: of the ledger. Empty: the SQLite file in the state folder.
    """

    home: Path
    documents: Path
    all_indexes: bool = False
    redis_url: str = ""

    @property
    def state_dir(self) -> Path:
        return self.home / ".rag"

    @property
    def benchmark(self) -> Path:
        return self.documents.with_name("benchmark.jsonl")

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process, without the configuration of the current process."""
        ours = ("RAG_", "OPENAI_", "QDRANT_", "REDIS_", "SLACK_", "DAGSTER_", "MLFLOW_", "AWS_", "COV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "DAGSTER_HOME": str(self.home),
            "RAG_STATE_DIR": str(self.state_dir),
            "RAG_DOCUMENTS_DIR": str(self.documents),
            "RAG_BENCHMARK_FILE": str(self.benchmark),
            "RAG_EMBEDDING_MODEL": "wordllama",
            "RAG_CHUNK_SIZE": "32",
            "RAG_CHUNK_OVERLAP": "4",
            "REDIS_URL": self.redis_url,
            **more,
        }

    def knowledge_base(self) -> KnowledgeBase:
        """Return the knowledge base, opened in this process. The caller closes it."""
        settings = Settings(
            RAG_STATE_DIR=self.state_dir,
            RAG_DOCUMENTS_DIR=self.documents,
            RAG_BENCHMARK_FILE=self.benchmark,
            RAG_EMBEDDING_MODEL="wordllama",
            RAG_CHUNK_SIZE=32,
            RAG_CHUNK_OVERLAP=4,
            REDIS_URL=SecretStr(self.redis_url) if self.redis_url else None,
        )
        return KnowledgeBase(settings)

    def production(self) -> str | None:
        """Return the name of the generation in production."""
        knowledge_base = self.knowledge_base()
        try:
            return knowledge_base.vector_store.production_state().production
        finally:
            knowledge_base.close()

    def copy_to(self, home: Path) -> "Scene":
        """Copy the home with the holes of its files: filled in, each generation takes 255 MB."""
        subprocess.run(["cp", "-a", "--sparse=always", str(self.home), str(home)], check=True)
        return replace(self, home=home)


def new_scene(folder: Path, *, all_indexes: bool = False, redis_url: str = "") -> Scene:
    """Write documents, a benchmark, and an empty Dagster home with the dagster.yaml of the repository."""
    scene = Scene(folder / "home", folder / "documents", all_indexes, redis_url)
    scene.home.mkdir(parents=True)
    scene.documents.mkdir()
    shutil.copy(DAGSTER_YAML, scene.home)
    for topic in TOPICS:
        if topic != "travel":
            (scene.documents / f"{topic}.md").write_text(text_about(topic), encoding="utf-8")
    # The last document does not exist: Recall@5 is 0.8, not 1.
    topics = ("parking", "vacation", "expenses", "printing", "elephants")
    questions = [{"query": f"which rules are there about {t}?", "expected_docs": [f"{t}.md"]} for t in topics]
    scene.benchmark.write_text("".join(f"{json.dumps(line)}\n" for line in questions), encoding="utf-8")
    return scene


def change_documents(documents: Path) -> None:
    """Change one file, add one, delete one, move one, copy one."""
    (documents / "parking.md").write_text(text_about("parking", edition=2), encoding="utf-8")
    (documents / "travel.md").write_text(text_about("travel"), encoding="utf-8")
    (documents / "pets.md").unlink()
    (documents / "house").mkdir()
    (documents / "kitchen.md").rename(documents / "house" / "kitchen.md")
    shutil.copy(documents / "security.md", documents / "house" / "security.md")


def assert_same_end(scene: Scene, uninterrupted: Scene) -> None:
    """Production, previous generation, ledger and folders are as after an uninterrupted refresh."""
    found, expected = points_in_production(scene), points_in_production(uninterrupted)
    assert found.keys() == expected.keys()
    for point_id, (payload, vector) in expected.items():
        assert found[point_id][0] == payload
        np.testing.assert_allclose(found[point_id][1], vector, atol=1e-6)
    knowledge_base, other = scene.knowledge_base(), uninterrupted.knowledge_base()
    try:
        state, state_of_other = (kb.vector_store.production_state() for kb in (knowledge_base, other))
        assert state.held is None
        assert state.previous == state_of_other.previous, "a rollback leads to the former production"
        assert state.production is not None
        documents = knowledge_base.ledger.documents(state.production)
        assert documents == other.documents_of(state_of_other.production)
    finally:
        knowledge_base.close()
        other.close()
    folders = {path.name for path in scene.state_dir.glob("vector_store/*/generations/*")}
    assert folders == {state.production, state.previous}
    assert not list(scene.state_dir.glob("artifacts/*/*/.staging-*"))


def points_in_production(scene: Scene) -> dict[str, tuple[dict[str, Any], list[float]]]:
    """Return id -> (payload without the fields of a single refresh, vector)."""
    knowledge_base = scene.knowledge_base()
    try:
        state = knowledge_base.vector_store.production_state()
        assert state.production is not None
        reader = knowledge_base.vector_store.read(state.production)
        try:
            return {
                point.id: (
                    {key: value for key, value in point.payload.items() if key not in UNHASHED_FIELDS},
                    [] if point.vector is None else point.vector.tolist(),
                )
                for batch in reader.scroll(with_vectors=True)
                for point in batch
            }
        finally:
            reader.close()
    finally:
        knowledge_base.close()


def materialize(scene: Scene, **environment: str) -> "subprocess.Popen[str]":
    """Start the command of the README, with standard error in its output."""
    dagster = Path(sys.executable).with_name("dagster")
    return subprocess.Popen(
        [dagster, "asset", "materialize", "-m", "rag_assets.definitions", "--select", "*"],
        cwd=scene.home,
        env=scene.environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextlib.contextmanager
def dagster_instance(scene: Scene) -> Iterator["dg.DagsterInstance"]:
    """Open the Dagster home of a scene in this process, in its folder, because its dagster.yaml has relative paths."""
    import dagster as dg

    with contextlib.chdir(scene.home), dg.DagsterInstance.from_config(str(scene.home)) as instance:
        yield instance
