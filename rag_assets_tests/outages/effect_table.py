"""A table of docs/outages.md: one row for each effect of a trouble, written from results and read back by the tests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_assets_tests.troubled_proxy import Trouble

PAGE = Path(__file__).parents[2] / "docs" / "outages.md"


def quoted(says: Iterable[str]) -> str:
    """Return sentences for a cell of a table."""
    return "<br>".join(f"`{message.replace('`', chr(39)).replace('|', '/')}`" for message in says)


@dataclass(frozen=True)
class EffectTable:
    """The table with this head: columns for name, trouble, moments, and then those of the effect."""

    head: str

    def documented(self) -> dict[tuple[str, str, str], str]:
        """Return (name, trouble, moment) -> effect."""
        found: dict[tuple[str, str, str], str] = {}
        for line in (
            PAGE.read_text(encoding="utf-8").partition(self.head)[2].partition("\n\n")[0].splitlines()
        ):
            name, trouble, moments, effect = line.removeprefix("| ").removesuffix(" |").split(" | ", 3)
            found |= {(name, trouble, moment): effect for moment in moments.split(", ")}
        return found

    def write(self, effects: Mapping[tuple[str, Trouble, str], str]) -> None:
        """Replace the rows. Moments with the same effect share one."""
        moments: dict[tuple[str, str, str], list[str]] = {}
        for (name, trouble, moment), effect in effects.items():
            moments.setdefault((name, trouble, effect), []).append(moment)
        rows = [
            f"| {name} | {trouble} | {', '.join(at)} | {effect} |"
            for (name, trouble, effect), at in moments.items()
        ]
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(self.head)
        _, gap, after = rest.partition("\n\n")
        PAGE.write_text(before + self.head + "\n".join(rows) + (gap or "\n") + after, encoding="utf-8")
