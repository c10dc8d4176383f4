import sys
from pathlib import Path

import pytest

from rag_assets.disk.mount_points import MountPoints


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_another_file_system_is_a_mount_point_and_a_folder_is_none(tmp_path: Path) -> None:
    points = MountPoints()
    assert points.contain("/proc")
    assert not points.contain("/proc/self")
    assert not points.contain(str(tmp_path))
    assert not points.contain(str(tmp_path / "missing"))
