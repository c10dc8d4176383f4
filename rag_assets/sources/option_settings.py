"""Options of sources that are set by variables, with their origin."""

from rag_assets.effective_settings import EffectiveSetting, origin_of, shown_value
from rag_assets.environment import Environment
from rag_assets.settings import known_variables, variables_of
from rag_assets.sources.declarations import variable_of
from rag_assets.sources.registry import SOURCES


def option_settings(environment: Environment) -> list[EffectiveSetting]:
    """Return each option `RAG_<KIND>_<OPTION>` with a value, sorted by kind. The sources file has its own options."""
    values = environment.variables
    rows: list[EffectiveSetting] = []
    for kind in sorted(SOURCES):
        for option, field in SOURCES[kind].Options.model_fields.items():
            variable = variable_of(kind, option)
            set_by = next((name for name in variables_of(variable, field) if values.get(name)), None)
            if set_by is None or variable in known_variables():
                continue
            default = (
                ""
                if field.is_required()
                else shown_value(field.get_default(call_default_factory=True), field)
            )
            value = shown_value(values[set_by], field)
            rows.append(EffectiveSetting(variable, value, default, origin_of(variable, set_by, environment)))
    return rows
