"""The collections of one knowledge base on a server: one for each generation, and `meta`.

    <kb>--<generation>   the points of a generation, with its manifest as metadata, written last
    <kb>--meta           no points, with the id of the knowledge base as metadata

The collections of other programs on the server are never touched.
"""

import contextlib
import json
import logging
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    RagAssetsError,
    StateFormatError,
    VectorStoreUnavailable,
)
from rag_assets.records import GenerationManifest
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import DENSE, SPARSE, Depth, RecordKind
from rag_assets.vector_stores.manifest_format import manifest_from_json, manifest_to_json
from rag_assets.vector_stores.names import SEPARATOR, is_name
from rag_assets.vector_stores.server import seal_comparison
from rag_assets.vector_stores.server.check_values import CheckValues
from rag_assets.vector_stores.server.client import index_params
from rag_assets.vector_stores.server.collection_limit import check_room
from rag_assets.vector_stores.server.consensus import Consensus
from rag_assets.vector_stores.server.layout import CollectionLayout
from rag_assets.vector_stores.server.limits import CollectionLimits, count_points
from rag_assets.vector_stores.server.reader import ServerGenerationReader
from rag_assets.vector_stores.server.readiness import wait_until_ready
from rag_assets.vector_stores.server.server_errors import is_missing, server_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1

_INDEXES_AT_ONCE = 8
_FORMAT_KEY = "rag_assets_format_version"
_ID_KEY = "rag_assets_knowledge_base_id"
_RECORD_KEY = "rag_assets_"
"""Before the kind and the key of a record."""
_MANIFEST_KEY = "rag_assets_manifest"
_REPORT_KEY = "rag_assets_report_digest"
_CHECK_VALUES_KEY = "rag_assets_check_values"
_ADDED_VALUES_KEY = "rag_assets_check_values_added"


class Collections:
    """The collections of one knowledge base. Nothing is sent before the first call.

    Attributes:
        knowledge_base: its name, the beginning of every name on the server.
        local: whether the client stores the data itself, as in tests.
    """

    def __init__(
        self, client: "QdrantClient", knowledge_base: str, layout: CollectionLayout | None = None
    ) -> None:
        self.client = client
        self.layout = layout or CollectionLayout()
        self.knowledge_base = knowledge_base
        options = client.init_options
        self.local = options.get("location") == ":memory:" or options.get("path") is not None
        self.consensus = Consensus(client)

    def name_of(self, *parts: str) -> str:
        return SEPARATOR.join((self.knowledge_base, *parts))

    def generation_of(self, collection: str) -> str | None:
        prefix = self.knowledge_base + SEPARATOR
        name = collection.removeprefix(prefix)
        return name if collection.startswith(prefix) and is_name(name) else None

    def info(self, collection: str) -> "models.CollectionInfo | None":
        """Return the description of a collection, None if it does not exist."""
        with server_errors(self.client, f"look at collection {collection}"):
            try:
                return self.client.get_collection(collection)
            except Exception as error:
                if is_missing(error):
                    return None
                raise

    def list_names(self) -> list[str]:
        """Return the names of all collections on the server, including those of other programs."""
        with server_errors(self.client, "list the collections"):
            return [one.name for one in self.client.get_collections().collections]

    def exists(self, generation: str) -> bool:
        """Return whether a generation exists, sealed or not."""
        return self.info(self.name_of(generation)) is not None

    def generations(self) -> list[str]:
        """Return the names of all generations and of unsealed leftovers, sorted."""
        names = self.list_names()
        return sorted(generation for name in names if (generation := self.generation_of(name)) is not None)

    def find_knowledge_base_id(self) -> str | None:
        info = self.info(self.name_of("meta"))
        if info is None:
            return None
        stored = info.config.metadata or {}
        found = stored.get(_ID_KEY)
        if not isinstance(found, str):
            raise ConfigurationError(
                f"collection {self.name_of('meta')} has no id of a knowledge base: either it belongs to another "
                "program, or the server at QDRANT_URL does not store the metadata of a collection"
            )
        self.check_format(stored.get(_FORMAT_KEY))
        return found

    def _metadata_of_meta(self) -> dict[str, Any]:
        info = self.info(self.name_of("meta"))
        return (info.config.metadata or {}) if info is not None else {}

    def records(self, kind: RecordKind) -> dict[str, str]:
        prefix = f"{_RECORD_KEY}{kind}_"
        return {
            key.removeprefix(prefix): str(text)
            for key, text in self._metadata_of_meta().items()
            if key.startswith(prefix)
        }

    def put_records(self, kind: RecordKind, records: Mapping[str, str]) -> None:
        """Write records into the metadata of `meta`. The server keeps the other keys."""
        metadata = {f"{_RECORD_KEY}{kind}_{key}": text for key, text in records.items()}
        with server_errors(self.client, f"write the records of kind {kind}"):
            self.client.update_collection(self.name_of("meta"), metadata=metadata)
        if not self.consensus.seen(lambda: metadata.items() <= self._metadata_of_meta().items()):
            raise VectorStoreUnavailable(
                f"records of kind {kind} were written to the server at QDRANT_URL, and are not there when they are read: retry"
            )

    def check_format(self, version: object) -> None:
        if str(version) != str(FORMAT_VERSION):
            raise StateFormatError(
                f"collection {self.name_of('meta')} has format version {version!r}, but this version of rag-assets reads "
                f"{FORMAT_VERSION}: use the version that wrote it"
            )

    def create_meta(self, new_id: str = "") -> tuple[str, bool]:
        """Create `meta` with a new id. Return its id, and False if another process was faster.

        Args:
            new_id: random if it is empty.

        Raises:
            ConfigurationError: a collection has the name of the alias of production.
        """
        if self.knowledge_base in self.list_names():
            raise ConfigurationError(
                f"a collection named {self.knowledge_base} already exists, but this name is needed for the alias of "
                "production: rename or delete the collection, or choose another name for the knowledge base"
            )
        identity = new_id or str(uuid.uuid4())
        try:
            with server_errors(self.client, f"create collection {self.name_of('meta')}"):
                self.client.create_collection(
                    self.name_of("meta"),
                    vectors_config={},
                    shard_number=1,
                    replication_factor=self.layout.replicas,
                    metadata={_FORMAT_KEY: FORMAT_VERSION, _ID_KEY: identity},
                )
        except RagAssetsError:
            theirs = self.consensus.seen(self.find_knowledge_base_id)
            if theirs is None:
                raise
            return theirs, False
        self.consensus.seen(self.find_knowledge_base_id)
        return identity, True

    def manifest(self, generation: str) -> GenerationManifest | None:
        if not is_name(generation):
            return None
        return self.manifest_in(generation, self.info(self.name_of(generation)))

    def manifest_in(self, generation: str, info: "models.CollectionInfo | None") -> GenerationManifest | None:
        stored = (info.config.metadata or {}).get(_MANIFEST_KEY) if info is not None else None
        if stored is None:
            return None
        where = f"collection {self.name_of(generation)}"
        try:
            return manifest_from_json(json.loads(stored), where)
        except (TypeError, ValueError):
            raise StateFormatError(
                f"{where} has a damaged manifest: materialize all assets to rebuild it"
            ) from None

    def open(self, generation: str) -> ServerGenerationReader:
        """Return a reader of a sealed generation. See `VectorStore.read`."""
        info = self.info(self.name_of(generation)) if is_name(generation) else None
        manifest = self.manifest_in(generation, info)
        if info is None or manifest is None:
            raise GenerationDamaged(f"generation {generation} does not exist or was never sealed")
        vectors = info.config.params.vectors
        if not isinstance(vectors, Mapping) or DENSE not in vectors:
            raise GenerationDamaged(f"generation {generation} has no vectors named {DENSE}")
        reader = ServerGenerationReader(
            self.client,
            self.name_of(generation),
            generation,
            vectors[DENSE].size,
            CollectionLimits.of(info),
        )
        found = reader.count()
        if found != manifest.points_count:
            raise GenerationDamaged(
                f"generation {generation} has {counted(found, 'point')} instead of {manifest.points_count:,}"
            )
        return reader

    def _metadata(self, generation: str) -> dict[str, Any]:
        info = self.info(self.name_of(generation)) if is_name(generation) else None
        return (info.config.metadata or {}) if info is not None else {}

    def _write_metadata(self, generation: str, what: str, metadata: dict[str, Any]) -> bool:
        """Write metadata of a generation. The server keeps the other keys. Return whether it was seen afterwards."""
        with server_errors(self.client, f"write {what} of generation {generation}"):
            self.client.update_collection(self.name_of(generation), metadata=metadata)
        return bool(self.consensus.seen(lambda: metadata.items() <= self._metadata(generation).items()))

    def check_values(self, generation: str) -> tuple[CheckValues | None, CheckValues | None]:
        """Return the check values of all points and of the added ones. None for those that were not stored."""
        stored = self._metadata(generation)
        return (
            CheckValues.from_text(stored.get(_CHECK_VALUES_KEY)),
            CheckValues.from_text(stored.get(_ADDED_VALUES_KEY)),
        )

    def verify(self, generation: str, depth: Depth) -> bool:
        """See `VectorStore.verify`."""
        reader = self.open(generation)
        manifest = self.manifest(generation)
        sealed, added = self.check_values(generation)
        if manifest is None or sealed is None:
            return False
        seal_comparison.compare(self.client, self.name_of(generation), reader, manifest, sealed, added, depth)
        return True

    def mark_damaged(self, generation: str, problem: str) -> None:
        with contextlib.suppress(StateFormatError):
            manifest = self.manifest(generation)
            if manifest is not None:
                self.store_manifest(generation, {**manifest_to_json(manifest), "damaged": problem})

    def count(self, generation: str) -> int:
        """Return the exact number of points of a generation, sealed or not."""
        with server_errors(self.client, f"count generation {generation}"):
            return count_points(self.client, self.name_of(generation), self.limits(generation))

    def limits(self, generation: str) -> CollectionLimits:
        info = self.info(self.name_of(generation))
        return CollectionLimits() if info is None else CollectionLimits.of(info)

    def create(self, generation: str, dimensions: int) -> None:
        """Create an empty collection with its indexes."""
        from qdrant_client import models

        name = self.name_of(generation)
        if not self.local:
            check_room(self.client)
        with server_errors(self.client, f"create generation {generation}"):
            self.client.create_collection(
                name,
                vectors_config={DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
                sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                shard_number=self.layout.shards,
                replication_factor=self.layout.replicas,
                write_consistency_factor=self.layout.write_consistency,
                metadata={_FORMAT_KEY: FORMAT_VERSION},
            )
        self.consensus.seen(lambda: self.info(name))
        if not self.local:
            try:
                self._create_indexes(name, index_params(self.layout.metadata_indexes))
            except BaseException:
                self.drop(generation)
                raise

    def finish(self, generation: str, manifest: GenerationManifest, values: CheckValues) -> None:
        """Write the check values and the manifest of a generation, the last act of sealing.

        Raises:
            ConfigurationError: the server does not store it.
        """
        name = self.name_of(generation)
        metadata = {_CHECK_VALUES_KEY: values.to_text()}
        if manifest.points_count > seal_comparison.COMPARED_IN_FULL:
            added = seal_comparison.values_of_refresh(
                self.client, name, self.limits(generation), manifest.refresh_id, values.dimensions
            )
            metadata[_ADDED_VALUES_KEY] = added.to_text()
        metadata[_MANIFEST_KEY] = _manifest_text(manifest_to_json(manifest))
        if not self._write_metadata(generation, "the manifest", metadata):
            raise ConfigurationError(
                "the server at QDRANT_URL stores points, but not the metadata of a collection: the manifest of generation "
                f"{generation} was written, and is not there when it is read"
            )

    def store_manifest(self, generation: str, stored: dict[str, Any]) -> None:
        """Write a manifest again, with a change."""
        self._write_metadata(generation, "the manifest", {_MANIFEST_KEY: _manifest_text(stored)})

    def record_report(self, generation: str, digest: str) -> None:
        """Write the digest of a report beside the manifest."""
        self._write_metadata(generation, "the report", {_REPORT_KEY: digest})

    def report_digest(self, generation: str) -> str | None:
        digest = self._metadata(generation).get(_REPORT_KEY)
        return digest if isinstance(digest, str) else None

    def drop(self, generation: str) -> None:
        """Delete an unsealed collection, if the server answers."""
        with contextlib.suppress(Exception):
            self.delete(generation)

    def delete(self, generation: str) -> None:
        with server_errors(self.client, f"delete generation {generation}"):
            self.client.delete_collection(self.name_of(generation))
        self.consensus.seen(lambda: generation not in self.generations())

    def add_missing_indexes(self, generation: str) -> tuple[str, ...]:
        """See `VectorStore.add_missing_indexes`."""
        info = self.info(self.name_of(generation))
        if info is None or self.local:
            return ()
        indexes = index_params(self.layout.metadata_indexes)
        missing = [index for index in indexes if index[0] not in info.payload_schema]
        self._create_indexes(self.name_of(generation), missing)
        return tuple(field_name for field_name, _, _ in missing)

    def _create_indexes(self, collection: str, indexes: list[tuple[str, Any, Any]]) -> None:
        """Create indexes side by side: the server flushes to its disk for each one, so one after the other takes long."""
        with ThreadPoolExecutor(_INDEXES_AT_ONCE, "index") as threads:
            created = [threads.submit(self._create_index, collection, *index) for index in indexes]
        for one in created:
            one.result()

    def _create_index(self, collection: str, field_name: str, nested: Any, plain: Any) -> None:
        """Create an index, without its newest options if the server does not support them."""
        try:
            with server_errors(self.client, f"create the index {field_name}"):
                self.client.create_payload_index(collection, field_name, field_schema=nested, wait=True)
        except ConfigurationError:
            with server_errors(self.client, f"create the index {field_name}"):
                self.client.create_payload_index(collection, field_name, field_schema=plain, wait=True)

    def wait_until_ready(self, generation: str) -> None:
        wait_until_ready(
            self.client, self.name_of(generation), generation, is_cluster=self.consensus.is_cluster
        )

    def prepare_for_promotion(self, generation: str) -> None:
        """Wait until every copy is complete, and store a snapshot if the layout asks for it."""
        if not self.exists(generation):
            return
        self.wait_until_ready(generation)
        if self.layout.snapshots:
            with server_errors(self.client, f"store a snapshot of generation {generation}"):
                snapshot = self.client.create_snapshot(self.name_of(generation), wait=True)
            if snapshot is not None:
                logger.info("snapshot of generation %s: %s on the server", generation, snapshot.name)


def _manifest_text(stored: dict[str, Any]) -> str:
    """Return a manifest as text. The server would merge objects, and may rewrite numbers."""
    return json.dumps(stored, ensure_ascii=False)
