"""The files of a generation, compared with those that were sealed: names, sizes, hashes."""

import os
from collections.abc import Callable
from pathlib import Path

from rag_assets.disk.content_hash import content_crc32, content_sha256
from rag_assets.disk.state_files import disk_errors
from rag_assets.errors import GenerationDamaged
from rag_assets.text.wording import counted

_REWRITTEN_BY_LOAD = "edge_config.json"
"""The only file rewritten by `load()`, with another size. All others stay as they were sealed."""


def file_sizes(shard_folder: Path) -> dict[str, int]:
    return {name: (shard_folder / name).stat().st_size for name in _file_names(shard_folder)}


def file_hashes(shard_folder: Path, algorithm: Callable[[Path], str] = content_crc32) -> dict[str, str]:
    """Return the hash of every file that stays as it is sealed."""
    names = (name for name in _file_names(shard_folder) if name != _REWRITTEN_BY_LOAD)
    return {name: algorithm(shard_folder / name) for name in names}


def _file_names(shard_folder: Path) -> list[str]:
    found: list[str] = []
    for folder, _, names in os.walk(shard_folder):
        inside = Path(folder).relative_to(shard_folder)
        found += [(inside / name).as_posix() for name in names]
    return sorted(name for name in found if ".atomicwrite" not in name)


def check_hashes(shard_folder: Path, hashes: dict[str, str], generation: str) -> None:
    """Compare the content of all files with their hashes.

    Raises:
        GenerationDamaged: a file differs, or there is one more or less.
        DiskUnusable: a file cannot be read.
    """
    # Of an earlier version.
    is_sha256 = not any(str(value).startswith("crc32:") for value in hashes.values())
    with disk_errors(shard_folder):
        found = file_hashes(shard_folder, content_sha256 if is_sha256 else content_crc32)
    differing = sorted(name for name in found.keys() | hashes.keys() if found.get(name) != hashes.get(name))
    if differing:
        raise GenerationDamaged(
            f"generation {generation} is damaged: {counted(len(differing), 'file')} changed after sealing, for example "
            f"{shard_folder / differing[0]}"
        )


def check_files(shard_folder: Path, files: dict[str, int]) -> None:
    """Check names and sizes of files without opening them.

    Raises:
        GenerationDamaged: a file is missing or has another size.
    """
    for name, size in files.items():
        try:
            found = (shard_folder / name).stat().st_size
        except OSError:
            raise GenerationDamaged(
                f"{shard_folder / name} is missing, so the generation is not opened"
            ) from None
        if found != size and name != _REWRITTEN_BY_LOAD:
            raise GenerationDamaged(
                f"{shard_folder / name} has {counted(found, 'byte')} instead of {size:,}, so the generation is not opened"
            )
