"""The layout of the lines of every report, `rag-assets trace` to `doctor`: a label, then its text."""

_LABEL_WIDTH = 15


def labeled(label: str, text: str, width: int = _LABEL_WIDTH) -> str:
    """Return one line of a report.

    Args:
        label: "" continues the line above.
        text: begins at column `width`.
    """
    return f"{label:<{width}}{text}"
