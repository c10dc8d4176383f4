"""Every error the package raises on purpose.

RagAssetsError
├── TransientError          worth another try: the outside world may recover
│   ├── SourceUnavailable       a source could not be listed completely
│   ├── ParserUnavailable       documents cannot be parsed here and now, whichever they are
│   ├── EmbedderUnavailable     the embedding endpoint did not answer as it should
│   ├── VectorStoreUnavailable  the vector store did not answer, or a generation vanished while it was read
│   ├── LedgerUnavailable       the ledger did not answer, or had to be begun anew
│   ├── FetchFailed             something on the web did not answer, or not completely
│   └── SupersededError         another refresh promoted first; run again
├── PermanentError          the same input gives the same failure
│   ├── ConfigurationError      settings that cannot work
│   ├── InvalidVectorError      a vector that must not enter a store
│   ├── StateFormatError        a state file of another format version
│   ├── GenerationDamaged       a generation does not hold the points it was sealed with
│   ├── HandleClosed            a reader or writer used after its end
│   ├── DiskUnusable            a full or read-only disk, or a folder without permission
│   ├── BenchmarkError          the benchmark cannot be used
│   ├── FetchRefused            a URL or an address that is not connected to
│   ├── ResponseTooLarge        something on the web has more bytes than are read
│   └── RefusedError            a rule of the pipeline says no
│       ├── DeletionRefused         too many deletions without an approval
│       ├── PromotionRefused        the candidate may not go live
│       └── StaleInputError         inputs made for another base or other settings
└── DocumentUnreadable      one document only; it is quarantined with a reason
    └── DocumentGone            the source says that it is no more: as if it had not been listed

A message says what happened, which id it concerns and what to do next. It never holds document
text or a secret. Only the glue turns these into ``dagster.Failure``.
"""

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
]


class RagAssetsError(Exception):
    """Base of every error raised on purpose."""


class TransientError(RagAssetsError):
    """Worth another try."""


class PermanentError(RagAssetsError):
    """A retry would fail in the same way."""


class SourceUnavailable(TransientError):
    """A source could not be listed completely: it must not look empty."""


class ParserUnavailable(TransientError):
    """No process that parses documents can be started: the machine is at fault, not a document."""


class EmbedderUnavailable(TransientError):
    """The embedding endpoint did not answer as it should."""


class VectorStoreUnavailable(TransientError):
    """The vector store did not answer, or a generation vanished while it was read.

    A vanished generation belongs here, not to `GenerationDamaged`: another refresh replaced it and removed it, so a
    reader that looks up production again finds its successor, and nothing has to be rebuilt.
    """


class LedgerUnavailable(TransientError):
    """The ledger did not answer, or was damaged and has been begun anew. It is a cache: nothing is lost."""


class FetchFailed(TransientError):
    """Something on the web did not answer, or not completely."""


class SupersededError(TransientError):
    """Another refresh changed production first. Nothing is wrong: refresh again."""


class ConfigurationError(PermanentError):
    """Settings that cannot work."""


class InvalidVectorError(PermanentError):
    """A vector with the wrong shape, or with NaN, infinite or only zero components."""


class StateFormatError(PermanentError):
    """A state file that this version cannot read; it is rebuilt, never half-read."""


class GenerationDamaged(PermanentError):
    """A generation does not hold the points that it was sealed with, or was never sealed.

    Reading it again gives the same result. If production cannot be opened, the next refresh rebuilds everything.
    """


class HandleClosed(PermanentError):
    """A reader used after `close`, or a writer used after its end, after a failure, or in a forked process."""


class DiskUnusable(PermanentError):
    """The disk is full or read-only, or a folder denies access: a person has to act before anything can work."""


MENDED_BY_REBUILD = (StateFormatError, GenerationDamaged)
"""What a refresh takes for a reason to build everything anew."""


class BenchmarkError(PermanentError):
    """The benchmark is missing, malformed, ambiguous, or does not fit the documents."""


class FetchRefused(PermanentError):
    """A URL or an address that nothing connects to."""


class ResponseTooLarge(PermanentError):
    """Something on the web has more bytes than are read."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"it has more than {max_bytes} bytes")


class RefusedError(PermanentError):
    """A rule of the pipeline says no; the message says which, and what to do."""


class DeletionRefused(RefusedError):
    """More documents would be deleted at once than the deletion guard lets through.

    Attributes:
        token: approves exactly this set of deletions, once.
    """

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message)
        self.token = token


class PromotionRefused(RefusedError):
    """The candidate may not go live."""


class StaleInputError(RefusedError):
    """The inputs were made for another base generation or with other settings."""


class DocumentUnreadable(RagAssetsError):
    """One document has no usable text. It is quarantined; the others go on.

    Attributes:
        reason: one of `QuarantineReason`, stable, for counting.
        detail: one sentence for a person, without document text.
        lasting: whether the same bytes will fail again; False if the machine may be at fault.
    """

    def __init__(self, reason: QuarantineReason, detail: str, *, lasting: bool = True) -> None:
        super().__init__(f"{reason}: {detail}")
        self.lasting = lasting
        self.reason: QuarantineReason = reason
        self.detail = detail


class DocumentGone(DocumentUnreadable):
    """A listed document is no more, and its source is sure of that: not found, rather than not to be had."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreadable", detail)
