"""A state folder that this machine may only read: `doctor` says so before a refresh or a rollback fails."""

import subprocess
import sys
from pathlib import Path

from rag_assets_tests.processes.scene import Scene
from rag_assets_tests.read_only_folder import with_read_only


def test_doctor_says_that_the_state_folder_is_read_only(scene: Scene) -> None:
    doctor = [str(Path(sys.executable).with_name("rag-assets")), "doctor"]
    ledgers = [
        next(line for line in output.splitlines() if line.split()[1:2] == ["ledger:"])
        for output in (
            subprocess.run(
                command, cwd=scene.home, env=scene.environment(), capture_output=True, text=True
            ).stdout
            for command in (doctor, with_read_only(scene.home / ".rag", *doctor))
        )
    ]
    assert ["READ-ONLY" in line for line in ledgers] == [False, True], ledgers
    assert ledgers[1].startswith("ok    ledger: ")
