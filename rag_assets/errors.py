"""Every error that the package raises on purpose.

RagAssetsError
├── TransientError          retry: the outside world may recover
│   ├── SourceUnavailable       incomplete listing of a source
│   ├── ParserUnavailable       no process can be started to parse documents
│   ├── EmbedderUnavailable     no usable answer from the embedding endpoint
│   │   └── RequestFailed           an internal error of the endpoint, perhaps because of one text
│   ├── VectorStoreUnavailable  no answer from the vector store, or a generation vanished while it was read
│   ├── LedgerUnavailable       no answer from the ledger, or it had to be recreated
│   │   └── LedgerNotWritable       it answers, but takes no writes now: full, a replica, or a failed snapshot
│   ├── BackupUnavailable       no answer from the place of a backup
│   ├── SecretUnavailable       a store of secrets does not answer
│   ├── MetadataTablesUnavailable  no backup of the metadata tables, or no return to one
│   ├── MlflowUnavailable       `doctor` gets no answer from MLflow
│   ├── FetchFailed             no complete answer from a web server
│   └── SupersededError         another refresh promoted first
├── PermanentError          do not retry: the same input fails in the same way
│   ├── ConfigurationError      unusable settings
│   │   └── RequestRefused          an embedding request that the endpoint refuses
│   ├── TextRefused             a text that the embedding model refuses
│   ├── ModelChanged            another model answers under the name of production's
│   ├── InvalidVectorError      a vector, point id or payload unfit for a store
│   ├── StateFormatError        a state file of another format version
│   ├── GenerationDamaged       a generation without the points it was sealed with
│   ├── BackupUnusable          a backup that is damaged, incomplete or of a newer version
│   ├── HandleClosed            a reader or writer used after its end
│   ├── DiskUnusable            a full or read-only disk, or a folder without permission
│   ├── BenchmarkError          an unusable benchmark
│   ├── FetchRefused            a forbidden URL or address
│   ├── ResponseTooLarge        a web response above the size limit
│   ├── CallRefused             a call of a tool that its caller has to change
│   └── RefusedError            a rule of the pipeline forbids it
│       ├── ApprovalNeeded          a person has to approve it
│       │   ├── DeletionRefused     too many deletions
│       │   └── RebuildRefused      a rebuild would cost money
│       ├── PromotionRefused        a candidate may not go live
│       │   ├── ProductionHeld          a person holds production after a rollback
│       │   └── GateFailed              it did not reach the threshold of the gate
│       └── StaleInputError         inputs made for another base or other settings
└── DocumentUnreadable      one document only, quarantined with a reason
    └── DocumentGone            a listed document does not exist any more

A message states the problem, the id it concerns and the next step. It never contains document text. A secret in it, for example
repeated by a server, is replaced by `…`.
Only `rag_assets.defs` turns these errors into `dagster.Failure`.
"""

from collections.abc import Iterator
from typing import Literal

QuarantineReason = Literal[
    "empty",
    "encrypted",
    "corrupt",
    "not_text",
    "unreadable",
    "too_large",
    "too_slow",
    "crashed",
    "model_unavailable",
    "refused_by_model",
]


class RagAssetsError(Exception):
    """Base of every error raised on purpose."""

    def __str__(self) -> str:
        return _shown(super().__str__())


class TransientError(RagAssetsError):
    """The same call may succeed later.

    Attributes:
        lasting: whether it fails until a person acts. Then a retry within seconds is of no use.
    """

    lasting = False


class PermanentError(RagAssetsError):
    """A retry would fail in the same way."""


class SourceUnavailable(TransientError):
    """A source could not be listed completely. It must not look empty.

    Attributes:
        lasting: True for a missing folder, a refused key, a missing package.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class SecretUnavailable(TransientError):
    """The store of a secret does not answer."""


class ParserUnavailable(TransientError):
    """No process can be started to parse documents. The machine is at fault, not a document."""


class EmbedderUnavailable(TransientError):
    """The embedding endpoint gave no usable answer."""


class RequestFailed(EmbedderUnavailable):
    """The embedding endpoint failed with an internal error (500). Fewer or other texts may succeed.

    Attributes:
        status: HTTP status.
        too_long: whether the endpoint complains about a length.
    """

    def __init__(self, message: str, status: int, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.too_long = too_long


class VectorStoreUnavailable(TransientError):
    """The vector store did not answer, or a generation vanished while it was read.

    A vanished generation belongs here rather than to `GenerationDamaged`: another refresh replaced and removed it.
    Looking up production again finds its successor, and nothing has to be rebuilt.
    """


class LedgerUnavailable(TransientError):
    """The ledger did not answer, or was damaged and has been recreated. It is only a cache: nothing is lost."""


class LedgerNotWritable(LedgerUnavailable):
    """A server with the ledger answers, but takes no writes now: it is full, a replica, or could not save its snapshot."""


class BackupUnavailable(TransientError):
    """The place of a backup, such as S3, did not answer, or refused."""


class MetadataTablesUnavailable(TransientError):
    """The database of the metadata tables did not answer. A refresh never raises this: for it they are an observer."""


class MlflowUnavailable(TransientError):
    """MLflow did not answer, or lags behind. A refresh never raises this: for it MLflow is an observer."""


class FetchFailed(TransientError):
    """A web server gave no answer, or an incomplete one."""


class SupersededError(TransientError):
    """Another refresh changed production first. Nothing is wrong: refresh again."""


class ConfigurationError(PermanentError):
    """The settings are unusable."""


class RequestRefused(ConfigurationError):
    """The embedding endpoint refused a request (400, 413 or 422): its settings, one of its texts, or their number.

    Attributes:
        status: HTTP status.
        too_long: whether the endpoint complains about a length.
    """

    def __init__(self, message: str, status: int, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.too_long = too_long


class TextRefused(PermanentError):
    """The embedding model refuses one text: a question, or another text without a document.

    Attributes:
        says: the reason, a clause about the text.
        text_hash: of the text, "" for a question of a search.
    """

    def __init__(self, message: str, says: str, text_hash: str = "") -> None:
        super().__init__(message)
        self.says = says
        self.text_hash = text_hash


class ModelChanged(PermanentError):
    """The model under the recorded name does not give the recorded vectors. Its answers would be wrong."""


class InvalidVectorError(PermanentError):
    """A vector has the wrong shape, or NaN, infinite or only zero components, or a point id or payload is malformed."""


class StateFormatError(PermanentError):
    """The format of a state file is unknown to this version. The file is rebuilt, never read in part."""


class GenerationDamaged(PermanentError):
    """A generation does not hold the points it was sealed with, or was never sealed.

    Reading it again gives the same result. If production cannot be opened, the next refresh rebuilds everything.
    """


class BackupUnusable(PermanentError):
    """A backup is damaged, incomplete, changed, or of a newer version. Nothing of it is restored."""


class HandleClosed(PermanentError):
    """A reader was used after `close`, or a writer after its end, after a failure, or in a forked process."""


class DiskUnusable(PermanentError):
    """The disk is full or read-only, or a folder denies access. A retry cannot help before a person has acted."""


MENDED_BY_REBUILD = (StateFormatError, GenerationDamaged)
"""Errors of production after which a refresh rebuilds everything."""


class BenchmarkError(PermanentError):
    """The benchmark is missing, malformed, ambiguous, or does not fit the documents."""


class FetchRefused(PermanentError):
    """The URL or the address is forbidden."""


class ResponseTooLarge(PermanentError):
    """A web response is larger than the limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"it has more than {max_bytes} bytes")


class CallRefused(PermanentError):
    """A tool of the MCP server was called with unusable arguments, or too often. The message is for the caller."""


class RefusedError(PermanentError):
    """A rule of the pipeline forbids it. The message names the rule and the next step."""


class ApprovalNeeded(RefusedError):
    """A person has to approve it.

    Attributes:
        token: approves exactly this set of deletions, or this rebuild, once.
        subject: a noun phrase, such as `the deletion of 12 of 20 documents`.
        sources: of the documents, sorted. Empty for a rebuild.
        examples: ids of some of the documents.
        is_repeated: whether an earlier refresh refused the same.
    """

    def __init__(
        self,
        message: str,
        token: str,
        subject: str,
        sources: tuple[str, ...] = (),
        examples: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.token = token
        self.subject = subject
        self.sources = sources
        self.examples = examples
        self.is_repeated = False


class DeletionRefused(ApprovalNeeded):
    """More documents would be deleted than the deletion guard allows."""


class RebuildRefused(ApprovalNeeded):
    """Every text would be embedded again, with a model that is not free."""


class PromotionRefused(RefusedError):
    """The candidate may not go live."""


class ProductionHeld(PromotionRefused):
    """A person holds production after a rollback. The candidate waits."""


class GateFailed(PromotionRefused):
    """The candidate did not reach the threshold of the gate."""


class StaleInputError(RefusedError):
    """The inputs were made for another base generation or with other settings."""


class DocumentUnreadable(RagAssetsError):
    """One document has no usable text. It is quarantined, the others are processed.

    Attributes:
        reason: one of `QuarantineReason`, stable, for counting.
        detail: one sentence for a person, without document text.
        lasting: whether the same bytes will fail again. False if the machine may be at fault.
    """

    def __init__(self, reason: QuarantineReason, detail: str, *, lasting: bool = True) -> None:
        super().__init__(f"{reason}: {detail}")
        self.lasting = lasting
        self.reason: QuarantineReason = reason
        self.detail = _shown(detail)


class DocumentGone(DocumentUnreadable):
    """A listed document does not exist any more, according to its source: not found, rather than unreadable."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreadable", detail)


def _shown(message: str) -> str:
    # Imported here: `--help` has no use for it.
    from rag_assets.secret_values import without_secrets

    return without_secrets(message)


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes, the deepest last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
