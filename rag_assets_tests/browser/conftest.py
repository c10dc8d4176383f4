"""Fixtures of the browser tests: one `dagster dev` and one browser window. Without a browser the tests are skipped."""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from rag_assets_tests.browser.dagster_dev import dagster_dev
from rag_assets_tests.processes.scene import Scene, new_scene

if TYPE_CHECKING:
    from rag_assets_tests.browser.ui import DagsterUi


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return new_scene(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="package")
def ui(scene: Scene) -> "Iterator[DagsterUi]":
    missing = [name for name in ("playwright",) if find_spec(name) is None]
    missing += [name for name in ("chromium",) if shutil.which(name) is None]
    if missing:
        reason = f"{' and '.join(missing)} not installed: see CONTRIBUTING"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from rag_assets_tests.browser.ui import open_ui

    with dagster_dev(scene.home, scene.environment()) as url, open_ui(url) as opened:
        yield opened


@pytest.fixture(scope="package")
def first_refresh(ui: "DagsterUi") -> str:
    """Outcome of the first refresh, started by pressing a button."""
    ui.open_lineage()
    return ui.wait_for_run(ui.materialize_all())
