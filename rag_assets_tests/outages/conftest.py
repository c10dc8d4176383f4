"""Messages are compared word for word: the secrets of another test must not be hidden in them."""

import pytest


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_assets.secret_values._known", {})
