"""The number of the benchmark behind a report. It marks changes, because scores of two benchmarks are not comparable."""

from dataclasses import dataclass

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.errors import StateFormatError
from rag_assets.evaluation.report import EvalReport
from rag_assets.text.wording import counted

_SHOWN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class BenchmarkVersion:
    """Attributes:
    number: 1 for the first benchmark of a state folder, one more after each change of the file.
    digest: SHA-256 of the benchmark.
    num_queries: number of its questions with a result.
    changed: whether the report before had another benchmark.
    """

    number: int
    digest: str
    num_queries: int
    changed: bool

    def __str__(self) -> str:
        if not self.digest:
            return "no benchmark file"
        text = (
            f"version {self.number} ({self.digest[:_SHOWN_DIGITS]}), {counted(self.num_queries, 'question')}"
        )
        return f"{text}, changed: earlier scores are not comparable" if self.changed else text


def benchmark_version(artifacts: ArtifactStore, report: EvalReport) -> BenchmarkVersion:
    """Compare the benchmark of a report with that of the last one written."""
    digest = str(report.verdict_configuration["benchmark"])
    number, changed = 1, False
    try:
        before = artifacts.latest("eval_report")
        if before is not None:
            changed = before.details["report"]["verdict_configuration"]["benchmark"] != digest
            number = int(before.details.get("benchmark_version", 1)) + changed
    except (StateFormatError, KeyError, TypeError):
        pass  # corrupt, or from another version: the count begins again
    return BenchmarkVersion(number, digest, len(report.counted), changed)
