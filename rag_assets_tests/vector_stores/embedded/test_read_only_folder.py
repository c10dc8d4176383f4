"""A store in a folder that its reader may not write to, such as a volume mounted read-only."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.read_only_folder import with_read_only
from rag_assets_tests.vector_stores.embedded.test_reader import tree
from rag_assets_tests.vector_stores.samples import point, stage

_PROGRAM = """
import json, sys
from pathlib import Path
from rag_assets.records import Condition, SearchFilter
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.vector_stores.samples import unit_vector

folder, temporary = sys.argv[1:]
try:
    Path(folder, "written").write_text("")
except OSError as error:
    print(error.strerror, file=sys.stderr)
store = EmbeddedVectorStore(Path(folder), "kb")
reader = store.read(store.production_state().production)
staff = SearchFilter((Condition("source", "equals", "filesystem"),))
while_open = sorted(path.name for path in Path(temporary).iterdir())
found = [len(reader.search(unit_vector(1), None, 500, staff)[0]), sum(map(len, reader.scroll(7)))]
reader.close()
print(json.dumps([found, while_open]))
"""


@pytest.mark.slow
def test_a_read_only_folder_is_searched_through_a_copy(tmp_path: Path) -> None:
    folder, temporary = tmp_path / "state", tmp_path / "temporary"
    temporary.mkdir()
    store = EmbeddedVectorStore(folder, "kb")
    stage(store, "g1", [point(n) for n in range(300)])
    store.promote("g1", None)
    before = tree(folder)
    command = with_read_only(folder, sys.executable, "-c", _PROGRAM, str(folder), str(temporary))
    done = subprocess.run(
        ["env", f"TMPDIR={temporary}", *command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Read-only file system" in done.stderr
    assert json.loads(done.stdout) == [[300, 300], []], "the copy is deleted as soon as it is open"
    assert list(temporary.iterdir()) == []
    assert tree(folder) == before


def test_a_folder_that_may_be_written_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    store = EmbeddedVectorStore(tmp_path / "state", "kb")
    stage(store, "g1", [point(1)])
    assert store.read("g1").count() == 1
