"""A folder that many tests begin with, made once."""

from pathlib import Path

from rag_assets_tests.pipeline import copy_folder


class KeptFolder:
    """Restores a folder to its state at the time of this object. Its path may be part of its content.

    Files keep their modified time, not their change time: the next refresh reads documents again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept = folder.with_name(f"{folder.name}-kept")
        copy_folder(folder, self._kept)

    def restore(self) -> None:
        """Undo all changes."""
        copy_folder(self._kept, self.folder)
