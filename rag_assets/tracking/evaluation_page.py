"""The report of one evaluation as an HTML page: scores, and a bar of Recall@5 for each question, the worst first.

One file without scripts and without addresses, for a viewer that loads nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from rag_assets.tracking.records import Row

_SCORES = {
    "recall_at_1": "Recall@1",
    "recall_at_5": "Recall@5",
    "recall_at_10": "Recall@10",
    "mrr": "MRR",
    "ndcg_at_10": "nDCG@10",
}
_MOST_FOUND = 5
_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 24px; color: #1f2933; }
h1 { font-size: 20px; } h2 { font-size: 16px; }
table { border-collapse: collapse; margin: 12px 0 24px; }
th, td { text-align: left; vertical-align: top; padding: 4px 14px 4px 0; border-bottom: 1px solid #e4e7eb; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.passed { color: #137752; } .failed { color: #b42318; }
.documents { color: #616e7c; font-size: 12px; overflow-wrap: anywhere; }
"""
_GOOD, _BAD, _EMPTY = "#2f9e73", "#d9534f", "#e4e7eb"


def evaluation_page(run: Row, evaluations: Mapping[str, Row], questions: Sequence[Row]) -> str:
    """Return the page.

    Args:
        run: row of `rag_refreshes`.
        evaluations: `candidate` or `production` -> row of `rag_evaluations`.
        questions: rows of `rag_evaluation_questions`.
    """
    candidate = evaluations.get("candidate", {})
    threshold = candidate.get("eval_threshold")
    passed = "passed" if candidate.get("is_passed") else "failed"
    gate = f'Gate <b class="{passed}">{passed}</b>: {escape(str(candidate.get("verdict") or ""))}'
    parts = [
        f"<h1>Evaluation of {escape(str(run.get('candidate') or 'nothing'))}</h1>",
        f"<p>Outcome {escape(str(run['outcome']))}. {gate}</p>",
        _score_table(evaluations, threshold),
        f"<h2>Recall@5 by question ({len(questions)}), the worst first</h2>",
        _question_table(questions, threshold),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evaluation</title>'
        f"<style>{_STYLE}</style></head><body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def _score_table(evaluations: Mapping[str, Row], threshold: float | None) -> str:
    subjects = [subject for subject in ("candidate", "production") if subject in evaluations]
    rows = [_row(["", *subjects, "0 to 1"], cell="th")]
    for name, label in _SCORES.items():
        scores = [evaluations[subject].get(name) for subject in subjects]
        bar = _bar(scores[0], threshold if name == "recall_at_5" else None) if scores else ""
        rows.append(f"<tr><td>{label}</td>{''.join(_number(score) for score in scores)}<td>{bar}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _question_table(questions: Sequence[Row], threshold: float | None) -> str:
    worst_first = sorted(questions, key=lambda row: (row["recall_at_5"], row["mrr"]))
    rows = [_row(["Recall@5", "", "production", "question"], cell="th")]
    for row in worst_first:
        documents = f"expected {_names(row['expected_documents'])}<br>found {_names(row['retrieved_documents'][:_MOST_FOUND])}"
        rows.append(
            f"<tr>{_number(row['recall_at_5'])}<td>{_bar(row['recall_at_5'], threshold)}</td>"
            f"{_number(row.get('production_recall_at_5'))}"
            f'<td>{escape(row["question"])}<div class="documents">{documents}</div></td></tr>'
        )
    return f"<table>{''.join(rows)}</table>"


def _row(texts: Iterable[str], cell: str) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(text)}</{cell}>' for text in texts)}</tr>"


def _number(value: float | None) -> str:
    return f'<td class="number">{"" if value is None else f"{value:.3f}"}</td>'


def _names(names: Iterable[str]) -> str:
    return ", ".join(escape(name) for name in names) or "nothing"


def _bar(value: float | None, threshold: float | None, width: int = 160, height: int = 12) -> str:
    """Return a bar from 0 to 1, with a line at the threshold."""
    if value is None:
        return ""
    color = _BAD if threshold is not None and value < threshold else _GOOD
    line = ""
    if threshold is not None:
        line = f'<line x1="{threshold * width:.1f}" x2="{threshold * width:.1f}" y1="0" y2="{height}" stroke="#1f2933"/>'
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="{value:.3f}">'
        f'<rect width="{width}" height="{height}" fill="{_EMPTY}"/>'
        f'<rect width="{value * width:.1f}" height="{height}" fill="{color}"/>{line}</svg>'
    )
