"""Renders `.env.example` and docs/settings.md's table from the settings.

    python -m rag_assets_tests.settings_pages    # writes both

A test compares both files with it.
"""

import re
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo

from rag_assets.environment import HOME
from rag_assets.settings import Settings

ROOT = Path(__file__).parents[1]
EXAMPLE_FILE = ROOT / ".env.example"
PAGE = ROOT / "docs" / "settings.md"
TABLE_HEAD = "| variable | default | meaning |\n|---|---|---|\n"
_EXAMPLE_HEAD = """\
# Copy to .env, and uncomment the lines to change. Every line shows the default. This file wins over the environment.
# Relative paths are relative to the folder of this file. Options of sources are variables too, `RAG_<KIND>_<OPTION>`. See
# docs/sources.md.
"""
_TABLE = re.compile(re.escape(TABLE_HEAD) + r"(?:\|.*\n)*")


def example_file() -> str:
    entries = [
        f"{textwrap.fill(str(field.description), 115, initial_indent='# ', subsequent_indent='# ')}\n"
        f"#{field.alias}={_default(field)}\n"
        for field in Settings.model_fields.values()
        if field.alias != HOME  # the folder of this file
    ]
    return "\n".join([_EXAMPLE_HEAD, *entries])


def with_table(page: str) -> str:
    """Return the text of the page with the table of this version."""
    rows = (
        f"| `{field.alias}` | {f'`{_default(field)}`' if _default(field) else ''} | {_linked(str(field.description))} |\n"
        for field in Settings.model_fields.values()
    )
    table = TABLE_HEAD + "".join(rows)
    return _TABLE.sub(lambda _: table, page)


def _default(field: FieldInfo) -> str:
    if field.default in (None, (), Path()):
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _linked(description: str) -> str:
    return re.sub(r"See docs/(\w+\.md)", r"See [\1](\1)", description)


if __name__ == "__main__":
    EXAMPLE_FILE.write_text(example_file(), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
