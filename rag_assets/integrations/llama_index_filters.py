"""LlamaIndex's `MetadataFilters` -> `SearchFilter`."""

from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets.vector_stores.filters import is_fixed_field
from rag_assets.vector_stores.metadata_conditions import PREFIX

_RANGES = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}


def search_filter_of(filters: MetadataFilters) -> SearchFilter:
    """Return the same conditions as a filter of ours. A key that is no fixed field is one of the metadata.

    Raises:
        ConfigurationError: OR, NOT, or another comparison than ==, in, >, >=, < and <=.
    """
    if filters.condition not in (FilterCondition.AND, None):
        raise ConfigurationError(
            f"cannot filter by {filters.condition.value}: all conditions must hold together"
        )
    conditions: list[Condition] = []
    for one in filters.filters:
        if isinstance(one, MetadataFilters):
            conditions.extend(search_filter_of(one).conditions)
        else:
            conditions.append(_condition(one))
    return SearchFilter(tuple(conditions))


def _condition(one: MetadataFilter) -> Condition:
    key = one.key if is_fixed_field(one.key) or one.key.startswith(PREFIX) else PREFIX + one.key
    if one.operator in (FilterOperator.EQ, FilterOperator.CONTAINS):
        return Condition(key, "equals", one.value)
    if one.operator in (FilterOperator.IN, FilterOperator.ANY):
        return Condition(key, "any_of", one.value)
    if one.operator in _RANGES:
        return Condition(key, "range", {_RANGES[one.operator]: one.value})
    raise ConfigurationError(
        f"cannot filter {one.key} by {one.operator.value!r}: the comparisons are ==, in, >, >=, <, <=, any and contains"
    )
