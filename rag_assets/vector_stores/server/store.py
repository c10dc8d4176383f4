"""The vector store on a Qdrant server or cluster, through `qdrant-client`.

    <kb>--<generation>               a collection a generation
    <kb>                             alias of the one in production: what any plain client reads
    <kb>--previous, <kb>--held       aliases
    <kb>--sealed--<generation>       alias of a generation that may be promoted; --rejected--, --discarded--
                                     once it failed its gate, or is about to be deleted
    <kb>--base--<n>--<production>    alias of <kb>--meta: the token of the compare-and-swap
    <kb>--meta                       an empty collection; its metadata hold the id of the knowledge base

A server applies the operations of one alias batch under one lock, in order, and stops at the first that
fails; what came before it stays. So a batch begins with the operations that can fail and change nothing that
a reader sees: renaming `--sealed--<generation>` to itself (the candidate still exists, and nobody is deleting
it), then renaming the token from `n` to `n + 1` (nothing changed since we looked). Both hold on the in-memory
client too. The token points to `--meta`, so that deleting a generation never deletes it, and carries a number,
so that a production that was left and returned to is not taken for one that never moved.

The manifest of a generation is metadata of its own collection, written last, and goes with it.
"""

import contextlib
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    PromotionRefused,
    RagAssetsError,
    RefusedError,
    StateFormatError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.progress import Progress
from rag_assets.records import (
    GenerationManifest,
    ProductionState,
)
from rag_assets.vector_stores.base import (
    DATETIME_FIELDS,
    DENSE,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    LOCATION_DATETIME_FIELDS,
    LOCATION_KEYWORD_FIELDS,
    SPARSE,
    ProgressCallback,
)
from rag_assets.vector_stores.filters import LOCATIONS
from rag_assets.vector_stores.manifest_format import manifest_from_json, manifest_to_json
from rag_assets.vector_stores.names import SEPARATOR, check_collection_name, check_generation_name, is_name
from rag_assets.vector_stores.server.generation import (
    ServerGenerationReader,
    ServerGenerationWriter,
    is_missing,
    server_errors,
)

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
TIMEOUT_SECONDS = 60
INDEXING_TIMEOUT_SECONDS = 600.0
BOOTSTRAP_TIMEOUT_SECONDS = 10.0

_FORMAT_KEY = "rag_assets_format_version"
_ID_KEY = "rag_assets_knowledge_base_id"
_MANIFEST_KEY = "rag_assets_manifest"
_SEALED, _REJECTED, _DISCARDED = "sealed", "rejected", "discarded"


def connect(url: str, api_key: str | None) -> "QdrantClient":
    """Return a client. Nothing is sent yet.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    from qdrant_client import QdrantClient

    try:
        # The check of versions would ask the server while definitions load.
        return QdrantClient(
            url=url, api_key=api_key or None, timeout=TIMEOUT_SECONDS, check_compatibility=False
        )
    except Exception as error:
        raise ConfigurationError(
            f"QDRANT_URL cannot be used ({type(error).__name__}); it looks like http://localhost:6333"
        ) from None


@dataclass(frozen=True, slots=True)
class _Aliases:
    """One look at the aliases of the knowledge base.

    Attributes:
        token: the alias that the next change must rename; None before the first.
        number: of that token.
        marks: generation -> `sealed`, `rejected` or `discarded`.
    """

    state: ProductionState
    token: str | None
    number: int
    marks: dict[str, str] = field(default_factory=dict[str, str])


class ServerVectorStore:
    """A `VectorStore` on a server. Any number of processes may use it at once.

    Nothing is sent before the first call.
    """

    exact_vectors: bool

    def __init__(self, client: "QdrantClient", collection: str) -> None:
        check_collection_name(collection)
        self._client = client
        self._kb = collection
        options = client.init_options
        self._local = options.get("location") == ":memory:" or options.get("path") is not None
        # The client's local mode normalises with numpy, and again when it copies.
        self.exact_vectors = not self._local

    def knowledge_base_id(self) -> str:
        found = self.find_knowledge_base_id()
        if found is not None:
            return found
        self._bootstrap()
        found = self.find_knowledge_base_id()
        if found is None:
            raise VectorStoreUnavailable(f"collection {self._name('meta')} was deleted meanwhile")
        return found

    def find_knowledge_base_id(self) -> str | None:
        info = self._info(self._name("meta"))
        if info is None:
            return None
        stored = info.config.metadata or {}
        found = stored.get(_ID_KEY)
        if not isinstance(found, str):
            raise ConfigurationError(
                f"collection {self._name('meta')} holds no id of a knowledge base: either it is not ours, or "
                "the server at QDRANT_URL is older than Qdrant 1.16, which first keeps metadata"
            )
        if stored.get(_FORMAT_KEY) != FORMAT_VERSION:
            raise StateFormatError(
                f"collection {self._name('meta')} has format version {stored.get(_FORMAT_KEY)!r}, this program "
                f"reads {FORMAT_VERSION}: use the version of rag-assets that wrote it"
            )
        return found

    def set_aside_unreadable(self) -> str | None:
        return None

    def production_state(self) -> ProductionState:
        return self._look().state

    def generations(self) -> list[str]:
        with server_errors("list the collections"):
            names = [one.name for one in self._client.get_collections().collections]
        return sorted(generation for name in names if (generation := self._generation_of(name)) is not None)

    def manifest(self, generation: str) -> GenerationManifest | None:
        if not is_name(generation):
            return None
        return self._manifest_in(generation, self._info(self._name(generation)))

    def _manifest_in(
        self, generation: str, info: "models.CollectionInfo | None"
    ) -> GenerationManifest | None:
        stored = (info.config.metadata or {}).get(_MANIFEST_KEY) if info is not None else None
        if stored is None:
            return None
        where = f"collection {self._name(generation)}"
        try:
            return manifest_from_json(json.loads(stored), where)
        except (TypeError, ValueError):
            raise StateFormatError(
                f"{where} has a damaged manifest: materialize all assets to build anew"
            ) from None

    def write(
        self,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None = None,
    ) -> "ServerGenerationWriter":
        check_generation_name(generation)
        if dimensions < 1:
            raise ConfigurationError(f"a vector cannot have {dimensions} dimensions")
        if self._info(self._name(generation)) is not None:
            raise RefusedError(f"generation {generation} exists already; a name is used once")
        return ServerGenerationWriter(self, generation, dimensions, base, on_progress)

    def read(self, generation: str) -> "ServerGenerationReader":
        info = self._info(self._name(generation)) if is_name(generation) else None
        manifest = self._manifest_in(generation, info)
        if info is None or manifest is None:
            raise GenerationDamaged(f"generation {generation} does not exist or was never sealed")
        vectors = info.config.params.vectors
        if not isinstance(vectors, Mapping) or DENSE not in vectors:
            raise GenerationDamaged(f"generation {generation} has no vectors named {DENSE}")
        reader = ServerGenerationReader(self._client, self._name(generation), generation, vectors[DENSE].size)
        found = reader.count()
        if found != manifest.points_count:
            raise GenerationDamaged(
                f"generation {generation} holds {found} points instead of {manifest.points_count}"
            )
        return reader

    def check_whole(self, generation: str) -> None:
        self.read(generation).close()

    def reject(self, generation: str, reason: str) -> None:
        manifest = self.manifest(generation)
        if manifest is None:
            return
        stored = {**manifest_to_json(manifest), "rejected": reason or "no reason given"}
        self.store_manifest(generation, stored)
        # The manifest says it to every later promotion, the missing mark to one that has just read it.
        self._move_mark(generation, _SEALED, _REJECTED)

    def discard(self, generation: str) -> None:
        if not is_name(generation) or self._info(self._name(generation)) is None:
            return
        aliases = self._refuse_if_in_use(generation)
        mark = aliases.marks.get(generation)
        if mark in (_SEALED, _REJECTED):
            # From here on no promotion and no rollback can take it; one that was faster is seen below.
            self._move_mark(generation, mark, _DISCARDED)
            try:
                self._refuse_if_in_use(generation)
            except RefusedError:
                self._move_mark(generation, _DISCARDED, mark)
                raise
        with server_errors(f"delete generation {generation}"):
            self._client.delete_collection(self._name(generation))

    def promote(
        self, generation: str, expected_production: str | None, *, lift_hold: bool = False
    ) -> ProductionState:
        self._bootstrap()

        def change(aliases: _Aliases) -> ProductionState:
            state = _expect(aliases.state, expected_production)
            if self._info(self._name(generation)) is None:
                raise SupersededError(f"generation {generation} is gone; refresh again")
            manifest = self.manifest(generation)
            if manifest is None:
                raise PromotionRefused(f"generation {generation} was never sealed; stage it again")
            if manifest.rejected:
                raise PromotionRefused(f"generation {generation} was rejected: {manifest.rejected}")
            if generation == state.production:
                return state
            if state.held is not None and not lift_hold:
                raise PromotionRefused(
                    f"production is held at {state.production} since {state.held} was rolled back; resume first"
                )
            if aliases.marks.get(generation) != _SEALED:
                raise SupersededError(f"generation {generation} is being deleted; refresh again")
            self.read(generation)
            return ProductionState(production=generation, previous=state.production)

        return self._swap(change)

    def rollback(self, expected_production: str | None) -> ProductionState:
        def change(aliases: _Aliases) -> ProductionState:
            state = _expect(aliases.state, expected_production)
            if state.previous is None:
                raise RefusedError("there is no previous generation to roll back to")
            self.read(state.previous)
            return ProductionState(production=state.previous, held=state.production)

        return self._swap(change)

    def resume(self) -> ProductionState:
        def change(aliases: _Aliases) -> ProductionState:
            state = aliases.state
            return ProductionState(production=state.production, previous=state.previous)

        return self._swap(change)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close()

    # ── for the writer below ──

    def count(self, generation: str) -> int:
        """Return the exact number of points, of an unsealed generation too."""
        with server_errors(f"count generation {generation}"):
            return self._client.count(self._name(generation), exact=True).count

    def create(self, generation: str, dimensions: int) -> tuple["QdrantClient", str]:
        """Create an empty collection with its indexes; return the client and its name."""
        from qdrant_client import models

        self._bootstrap()
        name = self._name(generation)
        with server_errors(f"create generation {generation}"):
            self._client.create_collection(
                name,
                vectors_config={DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
                sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                metadata={_FORMAT_KEY: FORMAT_VERSION},
            )
        if not self._local:
            try:
                for field_name, nested, plain in _index_params():
                    self._create_index(name, field_name, nested, plain)
            except BaseException:
                self.drop(generation)
                raise
        return self._client, name

    def finish(self, generation: str, manifest: GenerationManifest) -> None:
        """Mark a generation as one that may be promoted, and write its manifest, last."""
        from qdrant_client import models

        self._wait_until_indexed(generation)
        with server_errors(f"seal generation {generation}"):
            self._client.update_collection_aliases(
                [
                    models.CreateAliasOperation(
                        create_alias=models.CreateAlias(
                            collection_name=self._name(generation),
                            alias_name=self._mark_name(_SEALED, generation),
                        )
                    )
                ]
            )
        self.store_manifest(generation, manifest_to_json(manifest))
        if self.manifest(generation) != manifest:
            raise ConfigurationError(
                "the server at QDRANT_URL does not keep the metadata of a collection: Qdrant 1.16 or newer is needed"
            )

    def store_manifest(self, generation: str, stored: dict[str, Any]) -> None:
        """Write a manifest, as text: the server would merge objects, and may rewrite numbers."""
        with server_errors(f"write the manifest of generation {generation}"):
            self._client.update_collection(
                self._name(generation), metadata={_MANIFEST_KEY: json.dumps(stored, ensure_ascii=False)}
            )

    def drop(self, generation: str) -> None:
        """Delete a collection that was never sealed, if the server answers."""
        with contextlib.suppress(Exception):
            self._client.delete_collection(self._name(generation))

    # ── inside ──

    def _name(self, *parts: str) -> str:
        return SEPARATOR.join((self._kb, *parts))

    def _mark_name(self, mark: str, generation: str) -> str:
        return self._name(mark, generation)

    def _generation_of(self, collection: str) -> str | None:
        prefix = self._kb + SEPARATOR
        name = collection.removeprefix(prefix)
        return name if collection.startswith(prefix) and is_name(name) else None

    def _info(self, collection: str) -> "models.CollectionInfo | None":
        """Return what the server knows of a collection; None if it does not exist."""
        with server_errors(f"look at collection {collection}"):
            try:
                return self._client.get_collection(collection)
            except Exception as error:
                if is_missing(error):
                    return None
                raise

    def _bootstrap(self) -> None:
        """See that `--meta` and a token exist. Of several processes that begin at once, one creates both."""
        created = False
        if self.find_knowledge_base_id() is None:
            with server_errors("list the collections"):
                if any(one.name == self._kb for one in self._client.get_collections().collections):
                    raise ConfigurationError(
                        f"a collection named {self._kb} exists already, and its name is needed for the alias of "
                        "production: rename or delete it, or choose another name for the knowledge base"
                    )
            try:
                with server_errors(f"create collection {self._name('meta')}"):
                    self._client.create_collection(
                        self._name("meta"),
                        vectors_config={},
                        metadata={_FORMAT_KEY: FORMAT_VERSION, _ID_KEY: str(uuid.uuid4())},
                    )
                created = True
            except RagAssetsError:
                if self.find_knowledge_base_id() is None:
                    raise
        # Creating an alias is not conditional: a second token, created late by a process that was asleep,
        # could let two first promotions through. So only the creator of the collection creates it, and others
        # only after having waited for a creator that seems to have died. The highest number counts.
        deadline = time.monotonic() + BOOTSTRAP_TIMEOUT_SECONDS
        while (aliases := self._look()).token is None:
            if created or time.monotonic() > deadline:
                self._create_token(aliases.state.production)
                created = True
            else:
                time.sleep(0.1)

    def _create_token(self, production: str | None) -> None:
        from qdrant_client import models

        with server_errors("create the token of promotions"):
            self._client.update_collection_aliases(
                [
                    models.CreateAliasOperation(
                        create_alias=models.CreateAlias(
                            collection_name=self._name("meta"), alias_name=self._token_name(0, production)
                        )
                    )
                ]
            )

    def _token_name(self, number: int, production: str | None) -> str:
        return self._name("base", str(number), production or "none")

    def _look(self) -> _Aliases:
        with server_errors("read the aliases"):
            found = {one.alias_name: one.collection_name for one in self._client.get_aliases().aliases}
        serving: dict[str, str | None] = {}
        for key, alias in (
            ("production", self._kb),
            ("previous", self._name("previous")),
            ("held", self._name("held")),
        ):
            target = found.get(alias)
            serving[key] = self._generation_of(target) if target is not None else None
            if target is not None and serving[key] is None:
                raise ConfigurationError(
                    f"the alias {alias} points to {target}, which is not a generation of this knowledge base: "
                    "choose another name for it"
                )
        tokens: list[tuple[int, str]] = []
        marks: dict[str, str] = {}
        for alias in found:
            number = re.fullmatch(re.escape(self._name("base", "")) + r"(\d+)--.+", alias)
            if number is not None:
                tokens.append((int(number[1]), alias))
            for mark in (_SEALED, _REJECTED, _DISCARDED):
                prefix = self._mark_name(mark, "")
                if alias.startswith(prefix):
                    marks[alias.removeprefix(prefix)] = mark
        top, token = max(tokens, default=(0, None))
        return _Aliases(ProductionState(**serving), token, top, marks)

    def _swap(self, change: Callable[[_Aliases], ProductionState]) -> ProductionState:
        """Apply a change of state if nothing changed since it was worked out; work it out again otherwise."""
        for _ in range(10):
            aliases = self._look()
            old = aliases.state
            new = change(aliases)
            if new == old:
                return old
            if aliases.token is None:
                self._bootstrap()
                continue
            token = self._token_name(aliases.number + 1, new.production)
            try:
                with server_errors("switch the aliases"):
                    self._client.update_collection_aliases(self._operations(aliases, new, token))
                return new
            except VectorStoreUnavailable:
                # Refused, or the answer was lost: what it has become is to be seen.
                after = self._look()
                if after.token == token and after.state == new:
                    return new
                if after.token == aliases.token and after.marks == aliases.marks:
                    raise
        raise VectorStoreUnavailable("the aliases are changed by others all the time; try again")

    def _operations(self, aliases: _Aliases, new: ProductionState, token: str) -> list[Any]:
        from qdrant_client import models

        def rename(old_name: str, new_name: str) -> Any:
            return models.RenameAliasOperation(
                rename_alias=models.RenameAlias(old_alias_name=old_name, new_alias_name=new_name)
            )

        operations: list[Any] = []
        if new.production is not None and new.production != aliases.state.production:
            mark = self._mark_name(aliases.marks.get(new.production, _SEALED), new.production)
            operations.append(rename(mark, mark))
        operations.append(rename(aliases.token or "", token))
        # Production first: whatever should fail after it, readers have a whole generation.
        for alias, old_target, target in (
            (self._kb, aliases.state.production, new.production),
            (self._name("held"), aliases.state.held, new.held),
            (self._name("previous"), aliases.state.previous, new.previous),
        ):
            if target == old_target:
                continue
            if old_target is not None:
                operations.append(
                    models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
                )
            if target is not None:
                create = models.CreateAlias(collection_name=self._name(target), alias_name=alias)
                operations.append(models.CreateAliasOperation(create_alias=create))
        return operations

    def _move_mark(self, generation: str, old: str, new: str) -> None:
        from qdrant_client import models

        try:
            with server_errors(f"mark generation {generation} as {new}"):
                self._client.update_collection_aliases(
                    [
                        models.RenameAliasOperation(
                            rename_alias=models.RenameAlias(
                                old_alias_name=self._mark_name(old, generation),
                                new_alias_name=self._mark_name(new, generation),
                            )
                        )
                    ]
                )
        except VectorStoreUnavailable:
            if self._look().marks.get(generation) == old:
                raise

    def _refuse_if_in_use(self, generation: str) -> _Aliases:
        aliases = self._look()
        state = aliases.state
        if generation in (state.production, state.previous, state.held):
            raise RefusedError(f"generation {generation} is production, previous or held, and is not deleted")
        return aliases

    def _create_index(self, collection: str, field_name: str, nested: Any, plain: Any) -> None:
        """Create an index; without its newest options on a server that does not know them."""
        try:
            with server_errors(f"create the index {field_name}"):
                self._client.create_payload_index(collection, field_name, field_schema=nested, wait=True)
        except ConfigurationError:
            with server_errors(f"create the index {field_name}"):
                self._client.create_payload_index(collection, field_name, field_schema=plain, wait=True)

    def _wait_until_indexed(self, generation: str) -> None:
        """Wait for the optimizer, so that what is evaluated is what will serve."""
        deadline = time.monotonic() + INDEXING_TIMEOUT_SECONDS
        progress = Progress("vectors indexed")
        while True:
            info = self._info(self._name(generation))
            if info is None:
                raise VectorStoreUnavailable(f"generation {generation} was deleted while it was written")
            if info.status.value == "red":
                raise VectorStoreUnavailable(f"generation {generation} has status red on the server")
            if info.status.value != "yellow":
                return
            if time.monotonic() > deadline:
                logger.warning(
                    "generation %s is still being indexed after %.0f s", generation, INDEXING_TIMEOUT_SECONDS
                )
                return
            progress.advance((info.indexed_vectors_count or 0) - progress.done)
            time.sleep(0.5)


def _expect(state: ProductionState, expected: str | None) -> ProductionState:
    if state.production != expected:
        raise SupersededError(f"production is {state.production}, no longer {expected}; refresh again")
    return state


def _index_params() -> list[tuple[str, Any, Any]]:
    """Return (field, parameters, parameters for an older server) of every payload index."""
    from qdrant_client import models

    keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
    integer = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True)
    date = models.DatetimeIndexParams(type=models.DatetimeIndexType.DATETIME)
    nested_keyword = keyword.model_copy(update={"prefix": True, "nested": LOCATIONS})
    nested_date = date.model_copy(update={"nested": LOCATIONS})
    return [
        *((name, keyword, keyword) for name in KEYWORD_FIELDS),
        *((name, integer, integer) for name in INTEGER_FIELDS),
        *((name, date, date) for name in DATETIME_FIELDS),
        *((f"{LOCATIONS}[].{name}", nested_keyword, keyword) for name in LOCATION_KEYWORD_FIELDS),
        *((f"{LOCATIONS}[].{name}", nested_date, date) for name in LOCATION_DATETIME_FIELDS),
    ]
