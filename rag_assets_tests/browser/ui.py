"""Actions of a person in Dagster's UI, in a real Chromium: open a page, press a button, wait for a result."""

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Generator, Mapping
from typing import Any

from playwright.sync_api import Locator, Page, expect, sync_playwright

_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Generous, for a busy machine: the expected state ends the wait.
_PAGE_SECONDS = 90
_RUN_SECONDS = 300


class DagsterUi:
    """One window with Dagster's UI.

    Args:
        url: address of `dagster dev`.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    def open(self, path: str) -> None:
        self.page.goto(self._url + path)

    def open_first_page(self, job: str) -> None:
        """Show the first page, and wait for a run of this job in its timeline."""
        self.open("/")
        expect(self.page.get_by_role("link", name=job)).to_be_visible()

    def open_lineage(self) -> Locator:
        """Show the lineage of all assets, and return its nodes."""
        self.open("/asset-groups")
        nodes = self.page.locator("foreignObject")
        expect(nodes.first).to_be_visible()
        return nodes

    def listed_assets(self, names: list[str]) -> dict[str, bool]:
        """Return whether each name is visible in the list beside the lineage."""
        return {name: self.page.get_by_role("button", name=name).first.is_visible() for name in names}

    def materialize_all(self) -> str:
        """Press the button of the lineage, and return the id of the launched run."""
        self.page.get_by_role("button", name="Materialize all").click()
        address = self.page.get_by_role("link", name="View", exact=True).get_attribute("href") or ""
        found = re.search(r"/runs/([0-9a-f-]{36})$", address)
        assert found, address
        return found[1]

    def wait_for_run(self, run_id: str) -> str:
        """Watch the page of a run until its end, and return its status as shown."""
        self.open(f"/runs/{run_id}")
        ended = self.page.get_by_text(re.compile(r"^(Success|Failure|Canceled)$")).first
        expect(ended).to_be_visible(timeout=_RUN_SECONDS * 1000)
        return ended.inner_text()

    def open_asset(self, asset: str) -> None:
        self.open(f"/assets/{asset}?view=overview")
        expect(self.page.get_by_role("cell", name="refresh_id", exact=True)).to_be_visible()

    def metadata(self, key: str) -> str:
        """Return the value beside a key on the open page of an asset."""
        cell = self.page.get_by_role("cell", name=key, exact=True)
        return self.page.get_by_role("row").filter(has=cell).first.get_by_role("cell").last.inner_text()

    def open_check(self, asset: str) -> str:
        """Show the only check of an asset, and return the text of the page."""
        self.open(f"/assets/{asset}?view=checks")
        expect(self.page.get_by_text("Evaluation result")).to_be_visible()
        return self.page.locator("body").inner_text()


@contextlib.contextmanager
def open_ui(
    url: str,
    width: int = 1600,
    height: int = 1000,
    *,
    scale: float = 1,
    kept: Mapping[str, Any] | None = None,
) -> Generator[DagsterUi]:
    """Open a window of a browser with an empty profile.

    Args:
        scale: device pixels per pixel of the page.
        kept: local storage of the browser, as left by earlier visits to the UI.
    """
    expect.set_options(timeout=_PAGE_SECONDS * 1000)
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=shutil.which("chromium"),
            args=list(_OPTIONS),
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
        )
        try:
            context.set_default_timeout(_PAGE_SECONDS * 1000)
            for name, value in (kept or {}).items():
                item = f"{json.dumps(name)}, {json.dumps(json.dumps(value))}"
                context.add_init_script(f"localStorage.setItem({item})")
            yield DagsterUi(context.new_page(), url)
        finally:
            context.close()
