"""An IO manager that stores nothing: assets write Parquet themselves, and ops return nothing.

Dagster requires one for every output, and its own default pickles. This one has nothing to configure, so the Launchpad leaves it out.
"""

from typing import Any

import dagster as dg
from dagster._core.definitions.definition_config_schema import DefinitionConfigSchema


class _StoresNothing(dg.IOManager):
    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        raise NotImplementedError(
            f"the output of {context.step_key} is not stored: return a MaterializeResult"
        )

    def load_input(self, context: dg.InputContext) -> Any:
        raise NotImplementedError(f"the input {context.name} is not stored: read an artifact")


class _NoFields(DefinitionConfigSchema):
    def __bool__(self) -> bool:
        """False: the Launchpad lists every resource with a schema, also with an empty one."""
        return False


class _Unlisted(dg.IOManagerDefinition):
    @property
    def has_config_field(self) -> bool:
        return False


NO_IO_MANAGER = _Unlisted(lambda _: _StoresNothing(), config_schema=_NoFields(dg.Field({})))
