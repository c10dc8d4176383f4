from collections.abc import Iterator

import pytest

from rag_assets.sources.web import polite_requests
from rag_assets_tests.safe_http.test_safe_http import SITE
from rag_assets_tests.sources.scenes.confluence import Wiki
from rag_assets_tests.web_site import WebSite


@pytest.fixture
def site() -> Iterator[WebSite]:
    site = WebSite(SITE)
    yield site
    site.close()


@pytest.fixture
def other() -> Iterator[WebSite]:
    site = WebSite(SITE)
    yield site
    site.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record pauses instead of waiting."""
    seconds: list[float] = []
    monkeypatch.setattr(polite_requests, "sleep", seconds.append)
    return seconds


@pytest.fixture(params=["data center", "cloud"])
def wiki(request: pytest.FixtureRequest) -> Iterator[Wiki]:
    wiki = Wiki(cloud=request.param == "cloud")
    yield wiki
    wiki.close()
