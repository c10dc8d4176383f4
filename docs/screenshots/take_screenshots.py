"""Retake the pictures in docs/images, from the real UI in a real browser.

    python -m docs.screenshots.take_screenshots

Starts `dagster dev` on the sample knowledge base, with all its files in a temporary folder, and refreshes a few times
by pressing *Materialize all*. Needs Chromium, see CONTRIBUTING. Check the pictures before committing them.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, expect

from rag_assets.defs.metadata.plots import plotted
from rag_assets.settings import Settings
from rag_assets_tests.browser.dagster_dev import REPOSITORY, dagster_dev
from rag_assets_tests.browser.ui import DagsterUi, open_ui

IMAGES = REPOSITORY / "docs" / "images"
MAX_BYTES = 250_000
LAUNCHPAD_CONFIG = """\
resources:
  knowledge_base:
    config:
      chunk_size: 256
      chunk_overlap: 25
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        documents = Path(folder) / "documents"
        shutil.copytree(REPOSITORY / "data" / "documents", documents)
        with dagster_dev(home, _environment(home, documents)) as url:
            _tell_the_story(url, home, documents)


def _environment(home: Path, documents: Path) -> dict[str, str]:
    """Return the environment without this shell's own settings."""
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    return {name: value for name, value in os.environ.items() if name not in ours} | {
        "RAG_DOCUMENTS_DIR": str(documents),
        "RAG_STATE_DIR": str(home / ".rag"),
        "RAG_BENCHMARK_FILE": str(REPOSITORY / Settings.model_fields["benchmark_file"].default),
    }


def _tell_the_story(url: str, home: Path, documents: Path) -> None:
    """Two folders arrive one after the other. Then one document is emptied, and the gate fails."""
    later = [documents / name for name in ("sales", "legal")]
    for folder in later:
        folder.rename(home / folder.name)
    for folder in later:
        _refresh(url, "Success")
        (home / folder.name).rename(folder)
    with _narrow(url) as ui:
        run_id = _press(ui)
        assert ui.wait_for_run(run_id) == "Success"
    picture_lineage(url, "lineage_promoted")

    emptied = documents / "it" / "vpn_troubleshooting.md"
    (documents / "finance" / "invoices_2024.pdf").write_bytes(b"%PDF-1.7 torn")
    emptied.write_text("# Moved\n\nThis page has moved to the new wiki.\n", encoding="utf-8")
    (home / ".env").write_text("RAG_EVAL_THRESHOLD=0.999\n", encoding="utf-8")
    _refresh(url, "Failure")
    picture_lineage(url, "lineage_blocked")
    picture_check(url)
    picture_report(url)
    picture_warnings(url)
    picture_plots(url)
    picture_launchpad(url)


def _refresh(url: str, outcome: str) -> None:
    with open_ui(url) as ui:
        ui.open_lineage()
        ended = ui.wait_for_run(ui.materialize_all())
        assert ended == outcome, ended


# Pictures


@contextmanager
def _narrow(url: str, width: int = 1120, height: int = 400, **kept: object) -> Generator[DagsterUi]:
    """Open a window for a picture, with double resolution and without navigation."""
    with open_ui(url, width, height, scale=2, kept={"dagster-nav-collapsed": True, **kept}) as ui:
        yield ui


def _press(ui: DagsterUi) -> str:
    """Start a refresh and take a picture of that moment."""
    page = ui.page
    ui.open_lineage()
    page.get_by_role("button").filter(has=page.get_by_label("panel_show_right")).click()
    page.locator("svg:has(foreignObject)").first.dblclick(
        position={"x": 400, "y": 20}
    )  # fits the graph to the window
    run_id = ui.materialize_all()
    heading, view = (
        page.get_by_text("Global asset lineage"),
        page.get_by_role("link", name="View", exact=True),
    )
    _save(
        ui,
        "materialize_all",
        heading,
        page.get_by_role("button").filter(has=_arrow(page)).last,
        view,
        margin=16,
    )
    return run_id


def picture_lineage(url: str, name: str) -> None:
    kept = {"asset-graph-direction": "vertical", "asset-node-facets": ["checks", "status"]}
    with _narrow(url, 800, 1160, **kept) as ui:
        nodes = ui.open_lineage()
        expect(ui.page.get_by_text(re.compile(r"\d / \d Passed")).first).to_be_visible()
        _save(ui, name, *nodes.all(), margin=12)


def picture_check(url: str) -> None:
    with _narrow(url, 1440, 1100) as ui:
        ui.open_check("eval_report")
        page = ui.page
        first, last = page.get_by_text("About", exact=True), page.get_by_text("worst_queries", exact=True)
        _save(ui, "recall_gate", first, page.get_by_role("cell", name="0 to 1"), last, margin=16)


def picture_report(url: str) -> None:
    with _narrow(url, 1440, 2600) as ui:
        ui.open_asset("eval_report")
        rows = ui.page.get_by_role("row")
        key = ui.page.get_by_role("cell", name="scores", exact=True)
        last = rows.filter(has=ui.page.get_by_text("⤷ retrieved")).nth(3)
        _save(ui, "eval_report", key, ui.page.locator("th").get_by_text("before", exact=True), last, margin=8)


def picture_warnings(url: str) -> None:
    with _narrow(url, 1440, 900) as ui:
        ui.open_check("raw_documents")
        _save(
            ui,
            "warnings",
            ui.page.get_by_text("Checks (2)"),
            ui.page.locator("th").get_by_text("reason", exact=True),
            margin=60,
        )


def picture_plots(url: str) -> None:
    with _narrow(url, 1440, 2600) as ui:
        ui.open_asset("eval_report")
        ui.page.get_by_text("Plots", exact=True).click()
        first = ui.page.get_by_text(plotted("recall_at_5"), exact=True)
        expect(ui.page.locator("canvas").nth(5)).to_be_visible()
        _save(ui, "plots", first, *ui.page.locator("canvas").all()[:6], margin=8)


def picture_launchpad(url: str) -> None:
    with _narrow(url, 1440, 620) as ui:
        ui.open_lineage()
        ui.page.get_by_role("button").filter(has=_arrow(ui.page)).last.click()
        ui.page.get_by_text("Open launchpad").click()
        ui.page.locator(".cm-s-config-editor .CodeMirror-lines").click()
        ui.page.keyboard.press("Control+A")
        ui.page.keyboard.insert_text(LAUNCHPAD_CONFIG)
        dialog = ui.page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Materialize")).to_be_enabled()
        _save(ui, "launchpad", dialog)


def _arrow(page: Page) -> Locator:
    """The icon on the button beside *Materialize all*."""
    return page.get_by_label("arrow_drop_down")


def _save(ui: DagsterUi, name: str, *parts: Locator, margin: int = 0) -> None:
    """Save the window, or the rectangle around some of its parts."""
    clip: FloatRect | None = None
    boxes = [box for box in (part.bounding_box() for part in parts) if box]
    if boxes:
        left, top = (min(box[axis] for box in boxes) - margin for axis in ("x", "y"))
        right = max(box["x"] + box["width"] for box in boxes) + margin
        bottom = max(box["y"] + box["height"] for box in boxes) + margin
        clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    save_small(ui.page, name, clip)


def save_small(page: Page, name: str, clip: FloatRect | None = None) -> None:
    """Save a window, or a rectangle of it, with 256 colors."""
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, clip=clip, animations="disabled")
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
    small.save(path, optimize=True)
    size = path.stat().st_size
    assert size < MAX_BYTES, f"{path.name} has {size} bytes"
    print(f"{path.name}: {small.width} x {small.height}, {size // 1000} kB")


if __name__ == "__main__":
    main()
