"""The exit codes of every command, and their meaning for a monitor. docs/cli.md has the same table.

Imports nothing heavy: the first line of a command must not wait for it.
"""

from enum import IntEnum

from rag_assets.errors import ProductionHeld, RagAssetsError
from rag_assets.refresh.outcome import Outcome, outcome_of


class ExitCode(IntEnum):
    """The exit code of a command. Scripts depend on the numbers, so they never change."""

    OK = 0
    """Done, and nothing needs attention: production is live or unchanged."""
    FAILED = 1
    """Something broke: a setting, a source, a model, the vector store, the program."""
    USAGE = 2
    """Unknown command, or invalid arguments."""
    BLOCKED = 3
    """The gate stopped the candidate."""
    REFUSED = 4
    """A rule of the pipeline stopped the refresh. Often it waits for `rag-assets approve`."""
    HELD = 5
    """A rollback holds production, until `rag-assets resume`."""
    SUPERSEDED = 6
    """Another refresh came first."""
    DEGRADED = 7
    """Live, but without a part: a source that could not be read completely, or quarantined documents."""
    CANCELED = 130
    """Ended by Ctrl-C or SIGTERM. Production is unchanged."""


_OF_OUTCOME = {
    Outcome.LIVE: ExitCode.OK,
    Outcome.UNCHANGED: ExitCode.OK,
    Outcome.HELD: ExitCode.HELD,
    Outcome.SUPERSEDED: ExitCode.SUPERSEDED,
    Outcome.BLOCKED: ExitCode.BLOCKED,
    Outcome.REFUSED: ExitCode.REFUSED,
    Outcome.FAILED: ExitCode.FAILED,
    Outcome.CANCELED: ExitCode.CANCELED,
}
_NAGIOS = {
    ExitCode.OK: (0, "OK"),
    ExitCode.FAILED: (2, "CRITICAL"),
    ExitCode.BLOCKED: (1, "WARNING"),
    ExitCode.REFUSED: (1, "WARNING"),
    ExitCode.HELD: (1, "WARNING"),
    ExitCode.SUPERSEDED: (0, "OK"),
    ExitCode.DEGRADED: (1, "WARNING"),
}


def exit_code_of(outcome: Outcome, *, degraded: bool = False) -> ExitCode:
    """Return the exit code of a refresh.

    Args:
        degraded: whether a source could not be read completely, or documents are quarantined.
    """
    code = _OF_OUTCOME[outcome]
    return ExitCode.DEGRADED if code is ExitCode.OK and degraded else code


def exit_code_of_error(error: RagAssetsError) -> ExitCode:
    """Return the exit code of a command that ended with this error."""
    return ExitCode.HELD if isinstance(error, ProductionHeld) else _OF_OUTCOME[outcome_of(error)]


def nagios(code: ExitCode) -> tuple[int, str]:
    """Return exit code and first word for a plug-in of Nagios or Icinga: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    return _NAGIOS.get(code, (3, "UNKNOWN"))
