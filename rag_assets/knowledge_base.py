"""The parts of one knowledge base, built from the settings on first use.

Assets and the command line get every part from here. So they cannot disagree about a setting.

This module imports the parts of a search. The other parts are imported when they are built: importing everything
cost an application 0.25 s of processor time before its first question.
"""

from __future__ import annotations

import logging
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.disk.private_folders import claim_folder, require_folder
from rag_assets.effective_settings import names_of
from rag_assets.embedders.base import Embedder
from rag_assets.embedders.bm25 import Bm25Encoder
from rag_assets.embedders.model_identity import (
    assumed_embedder,
    is_named,
    name_of,
    recorded_model,
    recorded_probe,
    require_model,
)
from rag_assets.embedders.probe import ProbedEmbedder, probe_to_text
from rag_assets.embedders.registry import LOCAL_NAMES, build_embedder
from rag_assets.environment import read_environment
from rag_assets.errors import MENDED_BY_REBUILD, GenerationDamaged, RagAssetsError
from rag_assets.fingerprint import index_fingerprint, short_hash
from rag_assets.generations.contents import production_documents
from rag_assets.ledgers.base import Ledger, Purpose, Spending
from rag_assets.records import DocumentState, EmbeddingModel, GenerationManifest
from rag_assets.retrieval import Retriever
from rag_assets.settings import Settings, known_variables, load_settings
from rag_assets.text.tokenizers import build_tokenizer
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.registry import build_vector_store

if TYPE_CHECKING:
    from rag_assets.artifacts.last_failure import FailureRecord
    from rag_assets.artifacts.model_record import ModelRecord
    from rag_assets.artifacts.store import ArtifactStore
    from rag_assets.aws.client import AwsAccess
    from rag_assets.chunkers.base import Chunker
    from rag_assets.ingestion.ingestion import Ingestion
    from rag_assets.ingestion.media_models import MediaModels
    from rag_assets.ingestion.purged_documents import PurgedDocuments
    from rag_assets.sources.base import Source
    from rag_assets.text.store import TextStore

_logger = logging.getLogger(__name__)

OPENAI_MODEL = "text-embedding-3-small"


class KnowledgeBase:
    """All parts of a refresh or a search, by name.

    Args:
        settings: from the environment or the Launchpad.
        given_tokens: tokens approved for this run only, in addition to the tokens in the ledger.
        overridden: names of settings with a value for this run only, from the Launchpad.
    """

    def __init__(
        self,
        settings: Settings,
        given_tokens: frozenset[str] = frozenset(),
        overridden: frozenset[str] = frozenset(),
    ) -> None:
        self.settings = settings
        self.overridden = overridden
        self.given_tokens = given_tokens
        self.aws_access: AwsAccess | None = None
        self._embedders: dict[str, Embedder] = {}
        self._run_id: str | None = None

    @property
    def place(self) -> str:
        """Name and place of the knowledge base, as a clause for people."""
        return "knowledge base {name} in {place}".format(**names_of(self.settings))

    # Parts

    @cached_property
    def vector_store(self) -> VectorStore:
        require_folder(self.settings.state_dir, "RAG_STATE_DIR")
        return build_vector_store(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        from rag_assets.ledgers.registry import build_ledger

        # Here, because every refresh opens the ledger before it writes elsewhere. Opening other parts creates nothing.
        claim_folder(self.settings.state_dir, "RAG_STATE_DIR")
        return build_ledger(self.settings, self.vector_store.knowledge_base_id())

    @cached_property
    def artifacts(self) -> ArtifactStore:
        from rag_assets.artifacts.store import ArtifactStore

        return ArtifactStore(self.settings.state_dir / "artifacts" / self.settings.collection)

    @property
    def earlier_artifacts(self) -> ArtifactStore:
        """The artifacts of earlier refreshes."""
        return self.artifacts

    @cached_property
    def purged_documents(self) -> PurgedDocuments:
        from rag_assets.ingestion.purged_documents import PurgedDocuments

        return PurgedDocuments(self.settings, self.vector_store)

    @cached_property
    def failures(self) -> FailureRecord:
        from rag_assets.artifacts.last_failure import FailureRecord

        return FailureRecord(self.settings.state_dir / "artifacts" / self.settings.collection)

    @cached_property
    def text_store(self) -> TextStore:
        from rag_assets.text.store import TextStore

        return TextStore(self.settings.state_dir / "texts" / self.settings.collection)

    @cached_property
    def bm25(self) -> Bm25Encoder:
        return Bm25Encoder()

    @cached_property
    def chunker(self) -> Chunker:
        from rag_assets.chunkers.registry import build_chunker

        tokenizer = build_tokenizer(self.embedder.model, self.settings.tokenizer)
        return build_chunker(
            self.settings.chunker, tokenizer, self.settings.chunk_size, self.settings.chunk_overlap
        )

    @cached_property
    def model_record(self) -> ModelRecord:
        from rag_assets.artifacts.model_record import ModelRecord

        return ModelRecord(self.settings.state_dir / "artifacts" / self.settings.collection)

    def use_for_run(self, run_id: str) -> None:
        """Identify the model by the probe, once in this run, when `embedder` is used first."""
        if self._run_id is None:
            self._run_id = run_id
            self.__dict__.pop("embedder", None)

    def spend(self, purpose: Purpose, model: str, tokens: int, usd: float | None) -> None:
        """Add to the spending of this run, in the ledger. Does nothing outside a run."""
        if self._run_id is not None and (tokens or usd != 0):
            self.ledger.add_spending(self._run_id, Spending(purpose, model, tokens, usd))

    def spending_of(self, run_id: str) -> list[Spending] | None:
        """Return the spending of a run until now, or None if the ledger does not answer: it is only a cache."""
        try:
            return self.ledger.spending().get(run_id, [])
        except RagAssetsError:
            return None

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder of `embedding_model_name`, for documents. Its model is production's if that may be.

        In a run the probe decides about that. See `rag_assets.embedders.model_identity`.
        """
        inner = self._build_embedder(self.embedding_model_name)
        generation = self.vector_store.production_state().production
        try:
            production = self.production_manifest()
        except MENDED_BY_REBUILD:
            production = None
        if production is not None and not is_named(recorded_model(production), self.embedding_model_name):
            production = None
        if self._run_id is not None:
            record = self.model_record
            return self._counted(
                record.embedder_of_run(self._run_id, inner, production, generation, self.ledger)
            )
        last = self.model_record.get() if production is not None else None
        if last is not None and last.outcome == "changed" and last.generation == generation:
            return last.embedder(inner)
        return assumed_embedder(inner, production)

    @cached_property
    def embedding_model_name(self) -> str:
        """The model in the settings, else the model of production, else OpenAI's default if its key is set."""
        if self.settings.embedding_model:
            return self.settings.embedding_model
        try:
            manifest = self.production_manifest()
        except MENDED_BY_REBUILD as error:
            _logger.warning("the embedding model of production is unknown: %s", error)
            manifest = None
        if manifest is not None:
            return name_of(recorded_model(manifest))
        return OPENAI_MODEL if self.settings.openai_api_key else LOCAL_NAMES[0]

    def unread_variables(self) -> list[str]:
        """Return one sentence per unknown `RAG_` variable of the environment or `.env`."""
        names = read_environment().variables.keys()
        known = known_variables()
        if all(name.upper() in known for name in names if name.startswith("RAG_")):
            return []  # no need to import every source for its options
        from rag_assets.sources.unread_variables import unread_variables

        return unread_variables(names, self.settings.sources_file)

    def sources(self) -> list[Source]:
        from rag_assets.sources.configured import configured_sources

        return configured_sources(
            self.settings,
            self.folder_of_source,
            lambda: self.vector_store.find_knowledge_base_id() or "",
            self.aws_access,
        )

    def folder_of_source(self, name: str) -> Path:
        """Return the folder for the notes of a source. The source creates it."""
        return self.settings.state_dir / "sources" / name

    def ingestion(self) -> Ingestion:
        from rag_assets.ingestion.ingestion import Ingestion
        from rag_assets.parsers.isolation import ParseLimits, ParseWorkers

        limits = ParseLimits(
            seconds=self.settings.parse_seconds,
            memory_bytes=self.settings.parse_memory_mb * 1_000_000,
            text_bytes=self.settings.max_text_mb * 1_000_000,
        )
        return Ingestion(
            self.sources(),
            self.ledger,
            self.text_store,
            lambda: ParseWorkers(limits),
            self.media_models(),
            self.served_documents,
            self.approved_tokens(),
            self.known_mounts(),
            self.settings.metadata_policy,
            self.purged_documents.kept_out(),
        )

    def known_mounts(self) -> dict[str, dict[str, str]]:
        """Return source -> mount point -> prefix of the paths below it, of the last reading."""
        from rag_assets.ingestion.mounts import last_mounts

        return last_mounts(self.earlier_artifacts)

    def media_models(self, *, asks: bool = True) -> MediaModels:
        """Return the models for recordings and pictures, for one reading of the sources.

        Args:
            asks: whether to send documents to the models. If not, they are only counted.
        """
        from rag_assets.ingestion.media_models import media_models_of

        return media_models_of(self.settings, asks=asks, spent=partial(self.spend, "media"))

    def retriever(self, *, owns_store: bool = False) -> Retriever:
        return Retriever(
            self.vector_store,
            self.embedder_of,
            self.settings.dense_weight,
            owns_store=owns_store,
            metadata_indexes=self.settings.metadata_policy.kinds,
            place=self.place,
        )

    def embedder_of(self, manifest: GenerationManifest) -> Embedder:
        """Return the embedder of a generation. It asks the probe of the generation before the first text.

        Raises:
            ConfigurationError: an earlier version made the generation with another endpoint.
        """
        model, reference = recorded_model(manifest), recorded_probe(manifest)
        current = self.__dict__.get("embedder")
        # The embedder of this run has been verified. Without a probe of the generation it has been taken on trust.
        if (
            isinstance(current, ProbedEmbedder)
            and current.model == model
            and manifest.probe in ("", probe_to_text(current.reference))
        ):
            return current
        if reference is None:
            return self.embedder_for(model)
        return self._counted(ProbedEmbedder(self._build_embedder(name_of(model)), model, reference))

    def _counted(self, embedder: Embedder) -> Embedder:
        """Count the tokens of later probes of this embedder as spending of the run."""
        price = embedder.usd_per_million_tokens

        def spent(tokens: int) -> None:
            usd = None if price is None else tokens * price / 1_000_000
            self.spend("probe", embedder.model.model, tokens, usd)

        if isinstance(embedder, ProbedEmbedder):
            embedder.spent = spent
        return embedder

    def embedder_for(self, model: EmbeddingModel) -> Embedder:
        """Return the embedder of a recorded model.

        Raises:
            ConfigurationError: the environment has another model or endpoint under this name.
        """
        embedder = self._build_embedder(name_of(model))
        require_model(embedder, model)
        return embedder

    def _build_embedder(self, name: str) -> Embedder:
        """Return the one embedder of a model. Documents and questions share its weights or connections."""
        model_name = name.removeprefix("openai:")
        if model_name not in self._embedders:
            key = self.settings.openai_api_key
            self._embedders[model_name] = build_embedder(
                name,
                openai_api_key=key.get_secret_value() if key else None,
                openai_base_url=self.settings.openai_base_url,
            )
        return self._embedders[model_name]

    # Current state

    def production_manifest(self) -> GenerationManifest | None:
        """Return the manifest of production, or None while nothing is in production.

        Raises:
            StateFormatError, GenerationDamaged: the manifest of production cannot be read.
        """
        production = self.vector_store.production_state().production
        if production is None:
            return None
        manifest = self.vector_store.manifest(production)
        if manifest is None:
            raise GenerationDamaged(
                f"generation {production} is in production, but its manifest is missing: materialize all assets to "
                "rebuild it"
            )
        return manifest

    def reusable_production(self) -> GenerationManifest | None:
        """Return the manifest of production if a candidate can reuse its points, or None for a full rebuild.

        Reasons for a rebuild: another index fingerprint, damaged points, points of another version.
        """
        return self._examine_production(thorough=False)[0]

    def examine_production(self) -> tuple[GenerationManifest | None, str]:
        """Compare production with its seal. Return `reusable_production`, and the damage in words or ""."""
        return self._examine_production(thorough=True)

    def _examine_production(self, *, thorough: bool) -> tuple[GenerationManifest | None, str]:
        try:
            manifest = self.production_manifest()
            if manifest is None or short_hash(manifest.fingerprint) != short_hash(self.fingerprint()):
                return None, ""
            self.vector_store.check_whole(manifest.generation)
            if thorough:
                from rag_assets.generations.verification import check_sealed

                check_sealed(self.vector_store, manifest)
            elif manifest.damaged:
                raise GenerationDamaged(manifest.damaged)
        except MENDED_BY_REBUILD as error:
            _logger.warning("production is rebuilt in full: %s", error)
            return None, str(error)
        return manifest, ""

    def documents_of(self, generation: str | None) -> list[DocumentState]:
        return production_documents(self.vector_store, self.ledger, generation)

    def served_documents(self) -> dict[str, DocumentState]:
        """Return the documents in production now, by id."""
        production = self.vector_store.production_state().production
        return {state.document_id: state for state in self.documents_of(production)}

    def fingerprint(self) -> dict[str, Any]:
        """The index fingerprint of this run's settings."""
        tokenizer = build_tokenizer(self.embedder.model, self.settings.tokenizer)
        return index_fingerprint(
            self.embedder.model,
            chunker=self.settings.chunker,
            chunker_version=self.chunker.version,
            chunk_size=self.settings.chunk_size,
            chunk_overlap=self.settings.chunk_overlap,
            tokenizer=tokenizer.name,
            sparse=self.bm25.settings,
        )

    def verdict_configuration(self) -> dict[str, Any]:
        """Settings of the verdict. A change of these needs a new evaluation, but no new candidate."""
        from rag_assets.evaluation.benchmark import benchmark_hash

        return {
            "benchmark": benchmark_hash(self.settings.benchmark_file),
            "eval_threshold": self.settings.eval_threshold,
            "max_regression": self.settings.max_regression,
            "regression_fails": self.settings.regression_fails,
            "dense_weight": self.settings.dense_weight,
        }

    def approved_tokens(self) -> frozenset[str]:
        return self.ledger.approved_tokens() | self.given_tokens

    def close(self) -> None:
        for part in ("ledger", "vector_store"):
            if part in self.__dict__:
                self.__dict__[part].close()


def open_retriever(settings: Settings | None = None) -> Retriever:
    """Return a retriever on production for applications. Close it, or use `with`.

    Opening sends and writes nothing. A missing knowledge base is an error of the first search.

    Args:
        settings: by default from the environment and the `.env` files, as by `load_settings()`.

    Raises:
        ConfigurationError: invalid settings.
    """
    return KnowledgeBase(settings or load_settings()).retriever(owns_store=True)
