"""The index of a backup: every file with its size and SHA-256, and the state of the knowledge base at its moment.

It is the last file written, in one step. Without it a backup is unfinished. Its second line is the SHA-256 of the first.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag_assets.artifacts.parquet_artifact import file_digest
from rag_assets.errors import BackupUnusable, StateFormatError
from rag_assets.operations.backup.places import BackupPlace
from rag_assets.progress import Progress
from rag_assets.records import GenerationManifest, Readings
from rag_assets.text.wording import counted
from rag_assets.vector_stores.manifest_format import manifest_from_json, manifest_to_json
from rag_assets.vector_stores.production_state import Hold, ProductionState

INDEX = "index.json"
FORMAT_VERSION = 1
_NOTHING = "Nothing was changed"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Size and SHA-256, hex, of one file."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackedUpGeneration:
    """A generation in a backup.

    Attributes:
        role: `production`, `previous` or `held`.
        file: with its points.
        report_digest: of the last report on it, None if there is none.
    """

    role: str
    file: str
    manifest: GenerationManifest
    report_digest: str | None


@dataclass(frozen=True, slots=True)
class BackupIndex:
    """The content of an index.

    Attributes:
        made_at: moment of the backup, ISO 8601 in UTC.
        made_by: version of rag-assets.
        exact_vectors: as of the vector store.
        left_out: unreadable generations -> the reason.
        files: name -> file, without the index.
    """

    knowledge_base: str
    knowledge_base_id: str
    made_at: str
    made_by: str
    state: ProductionState
    readings: Readings
    exact_vectors: bool
    generations: tuple[BackedUpGeneration, ...]
    refusals: tuple[Mapping[str, Any], ...] = ()
    approved_tokens: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, StoredFile] = field(default_factory=dict[str, StoredFile])

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files.values())

    def in_role(self, role: str) -> BackedUpGeneration | None:
        return next((one for one in self.generations if one.role == role), None)


def stored_file(path: Path) -> StoredFile:
    """Return size and digest of a finished file."""
    return StoredFile(path.stat().st_size, file_digest(path))


def write_index(place: BackupPlace, index: BackupIndex) -> None:
    """Write the index, after all other files were made durable."""
    hold = index.state.hold
    content = {
        "format_version": FORMAT_VERSION,
        "knowledge_base": index.knowledge_base,
        "knowledge_base_id": index.knowledge_base_id,
        "made_at": index.made_at,
        "made_by": index.made_by,
        "state": {
            "production": index.state.production,
            "previous": index.state.previous,
            "hold": None if hold is None else asdict(hold),
        },
        "readings": {"last": index.readings.last, "counted": dict(index.readings.counted)},
        "exact_vectors": index.exact_vectors,
        "generations": [
            {
                "role": one.role,
                "file": one.file,
                "manifest": manifest_to_json(one.manifest),
                "report_digest": one.report_digest,
            }
            for one in index.generations
        ],
        "refusals": [dict(one) for one in index.refusals],
        "approved_tokens": list(index.approved_tokens),
        "left_out": dict(index.left_out),
        "files": {name: asdict(file) for name, file in sorted(index.files.items())},
    }
    place.put(INDEX, _sealed(json.dumps(content, ensure_ascii=False).encode()))


def _sealed(line: bytes) -> bytes:
    return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"


def read_index(place: BackupPlace, names: Iterable[str]) -> BackupIndex:
    """Return the index.

    Args:
        names: of all files of the place.

    Raises:
        BackupUnusable: there is none, it is damaged, or of a newer version.
    """
    if INDEX not in set(names):
        raise BackupUnusable(
            f"{place.name} has no {INDEX}: it is no backup, or its backup was interrupted. {_NOTHING}"
        )
    data = place.get(INDEX).read_bytes()
    line = data.partition(b"\n")[0]
    damaged = BackupUnusable(
        f"{place.name}: {INDEX} is damaged or was changed. {_NOTHING}: use another backup"
    )
    if data != _sealed(line):
        raise damaged
    try:
        stored: dict[str, Any] = json.loads(line)
        version = stored["format_version"]
        if version != FORMAT_VERSION:
            raise BackupUnusable(
                f"{place.name} has format version {version}, made by rag-assets {stored.get('made_by')}, but this "
                f"version reads {FORMAT_VERSION}. {_NOTHING}: install the version that made it"
            )
        return _index_of(stored, place.name)
    except (ValueError, KeyError, TypeError, AttributeError, StateFormatError):
        raise damaged from None


def _index_of(stored: Mapping[str, Any], place: str) -> BackupIndex:
    state, readings = stored["state"], stored["readings"]
    return BackupIndex(
        knowledge_base=stored["knowledge_base"],
        knowledge_base_id=stored["knowledge_base_id"],
        made_at=stored["made_at"],
        made_by=stored["made_by"],
        state=ProductionState(
            state["production"], state["previous"], None if state["hold"] is None else Hold(**state["hold"])
        ),
        readings=Readings(readings["last"], readings["counted"]),
        exact_vectors=stored["exact_vectors"],
        generations=tuple(
            BackedUpGeneration(
                one["role"],
                one["file"],
                manifest_from_json(one["manifest"], f"{place}: {INDEX}"),
                one["report_digest"],
            )
            for one in stored["generations"]
        ),
        refusals=tuple(stored["refusals"]),
        approved_tokens=tuple(stored["approved_tokens"]),
        left_out=stored["left_out"],
        files={name: StoredFile(**file) for name, file in stored["files"].items()},
    )


def checked_index(place: BackupPlace) -> BackupIndex:
    """Return the index of a backup after a comparison of every file with it.

    Raises:
        BackupUnusable: a file is missing, damaged, or not in the index. The message names it.
    """
    names = place.names()
    index = read_index(place, names)
    for name in sorted(index.files.keys() - names):
        raise BackupUnusable(f"{place.name}: {name} is missing. {_NOTHING}: use another backup")
    for name in sorted(names - index.files.keys() - {INDEX}):
        raise BackupUnusable(
            f"{place.name}: {name} does not belong to the backup. {_NOTHING}: find out where it comes from"
        )
    progress = Progress("MB checked", index.size_bytes // 2**20)
    for name, file in index.files.items():
        path = place.get(name)
        if path.is_symlink() or not path.is_file():
            raise BackupUnusable(f"{place.name}: {name} is not a file. {_NOTHING}: use another backup")
        found = stored_file(path)
        if found.size_bytes != file.size_bytes:
            raise BackupUnusable(
                f"{place.name}: {name} has {counted(found.size_bytes, 'byte')} instead of {file.size_bytes:,}. "
                f"{_NOTHING}: use another backup"
            )
        if found.sha256 != file.sha256:
            raise BackupUnusable(
                f"{place.name}: {name} is damaged or was changed. {_NOTHING}: use another backup"
            )
        progress.advance(file.size_bytes // 2**20)
    return index
