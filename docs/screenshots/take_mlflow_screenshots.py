"""Retake the pictures of docs/mlflow.md, from the UI of a real MLflow server in a real browser.

    python -m docs.screenshots.take_mlflow_screenshots

Refreshes the sample knowledge base five times, with all files in a temporary folder. Check the pictures before committing them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from docs.screenshots.take_screenshots import REPOSITORY, save_small
from rag_assets.settings import Settings
from rag_assets_tests.browser.ui import open_ui
from rag_assets_tests.mlflow_servers import MlflowServer, mlflow_server, runs_in

EXPERIMENT = "knowledge_base"
COLUMNS = ("recall_at_5", "mrr", "tokens", "threshold", "chunk_size")
HIDDEN = ("Dataset", "Source", "Models")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        documents = Path(folder) / "documents"
        home.mkdir()
        shutil.copytree(REPOSITORY / "data" / "documents", documents)
        with mlflow_server(Path(folder)) as server:
            _tell_the_story(_environment(home, documents, server), home, documents)
            _picture_runs(server)
            _picture_report(server)


def _environment(home: Path, documents: Path, server: MlflowServer) -> dict[str, str]:
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    return {name: value for name, value in os.environ.items() if name not in ours} | {
        "RAG_HOME": str(home),
        "RAG_DOCUMENTS_DIR": str(documents),
        "RAG_BENCHMARK_FILE": str(REPOSITORY / Settings.model_fields["benchmark_file"].default),
        "RAG_DAGSTER_URL": "http://localhost:3000",
        "MLFLOW_TRACKING_URI": server.url,
    }


def _tell_the_story(environment: dict[str, str], home: Path, documents: Path) -> None:
    """A folder arrives later. Smaller chunks are tried. Then one document is emptied, and the gate fails."""
    later = documents / "sales"
    later.rename(home / "sales")
    _refresh(environment)
    (home / "sales").rename(later)
    _refresh(environment)
    _refresh(environment)
    _refresh(environment | {"RAG_CHUNK_SIZE": "256", "RAG_CHUNK_OVERLAP": "25"})
    emptied = documents / "it" / "vpn_troubleshooting.md"
    emptied.write_text("# Moved\n\nThis page has moved to the new wiki.\n", encoding="utf-8")
    _refresh(
        environment | {"RAG_CHUNK_SIZE": "256", "RAG_CHUNK_OVERLAP": "25", "RAG_EVAL_THRESHOLD": "0.999"}
    )


def _refresh(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "rag_assets.cli.main", "refresh"]
    done = subprocess.run(command, env=environment, cwd=environment["RAG_HOME"], check=False)
    print(f"exit code {done.returncode}")


def _picture_runs(server: MlflowServer) -> None:
    with open_ui(server.url, 1440, 520, scale=2) as ui:
        page = ui.page
        page.goto(f"{server.url}/#/experiments/1/runs")
        expect(page.get_by_text("blocked").first).to_be_visible()
        _close_assistant(page)
        page.get_by_role("button", name="Columns").click()
        for name in (*HIDDEN, *COLUMNS):
            node = page.locator(f".du-bois-light-tree-treenode:has(span[title='{name}'])")
            node.locator(".du-bois-light-tree-checkbox").first.click()
        page.keyboard.press("Escape")
        page.wait_for_timeout(2_000)
        save_small(page, "mlflow_runs")


def _close_assistant(page: Page) -> None:
    panel = page.get_by_text("MLflow Assistant").first
    if panel.is_visible():
        page.get_by_role("button", name="Close").last.click()


def _picture_report(server: MlflowServer) -> None:
    blocked = next(
        run for run in runs_in(server.database, EXPERIMENT, server.files) if run.outcome == "blocked"
    )
    with open_ui(server.url, 1440, 800, scale=2) as ui:
        page = ui.page
        page.goto(f"{server.url}/#/experiments/1/runs/{blocked.run_id}/artifacts/report.html")
        expect(page.frame_locator("iframe").get_by_text("Recall@5 by question").first).to_be_visible(
            timeout=90_000
        )
        _close_assistant(page)
        page.wait_for_timeout(2_000)
        save_small(page, "mlflow_report")


if __name__ == "__main__":
    main()
