"""The fault sweep: each call of a small refresh fails once. The next refresh ends as an undisturbed one.

`pytest -n 2 -m soak rag_assets_tests/histories/test_faults.py` sweeps over every call. `calls.py` says what it reaches.
"""

from pathlib import Path

import pytest

from rag_assets_tests.histories.faults import MODES, SmallRefresh, problems

_SHARES = 16


@pytest.fixture
def small_refresh(request: pytest.FixtureRequest, tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path, first=request.param == "first")


@pytest.mark.slow
@pytest.mark.parametrize("small_refresh", ["second"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_one_call_of_each_kind_fails(small_refresh: SmallRefresh, mode: str) -> None:
    chosen = small_refresh.sample(MODES[mode])
    assert chosen
    assert list(problems(small_refresh, MODES[mode], chosen)) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("share", range(_SHARES))
@pytest.mark.parametrize("small_refresh", ["first", "second"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_every_call_fails_once(small_refresh: SmallRefresh, mode: str, share: int) -> None:
    chosen = small_refresh.numbers(MODES[mode])[share::_SHARES]
    print(f"{len(chosen)} of {len(small_refresh.calls)} calls: {mode}")
    assert list(problems(small_refresh, MODES[mode], chosen)) == []
