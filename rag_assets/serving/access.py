"""The access filter of a server, and filters of callers below it.

Both are joined by AND, and conditions on a location must hold for one and the same location. So a caller can only narrow
the filter. If there is one, errors about the caller's conditions come from their text alone: an error about a metadata
key would tell whether a hidden document has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rag_assets.errors import CallRefused, ConfigurationError
from rag_assets.records import SearchFilter
from rag_assets.retrieval import GenerationSearch
from rag_assets.vector_stores.filter_expressions import parse_filters
from rag_assets.vector_stores.filters import parse_filter

_SEPARATOR = ";"
_CLOSED_FIELD = "access"
"""The names in an access list are those of people and groups: no caller may try them out."""


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """The documents that callers may read.

    Attributes:
        expressions: as of `rag-assets search --filter`. Empty for every document.
    """

    expressions: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the filter of `RAG_MCP_FILTER`.

        Raises:
            ConfigurationError: it is no filter.
        """
        if not text:
            return cls()
        expressions = tuple(part.strip() for part in text.split(_SEPARATOR))
        try:
            parse_filter(parse_filters(expressions))
        except ConfigurationError as error:
            raise ConfigurationError(f"RAG_MCP_FILTER: {error}") from None
        return cls(expressions)

    @property
    def is_open(self) -> bool:
        """Whether every document is readable."""
        return not self.expressions

    def fixed(self, production: GenerationSearch) -> SearchFilter:
        """Return the conditions of the filter.

        Raises:
            ConfigurationError: a metadata key is unknown in this generation, or has values of another type.
        """
        try:
            found = parse_filters(self.expressions, production.kinds_of) or SearchFilter()
            production.check_metadata(found)
        except ConfigurationError as error:
            raise ConfigurationError(f"RAG_MCP_FILTER: {error}") from None
        return found

    def narrowed(self, production: GenerationSearch, expressions: Sequence[str]) -> SearchFilter:
        """Return the conditions of the filter together with those of a caller.

        Raises:
            CallRefused: the caller's are unusable.
            ConfigurationError: those of the filter are.
        """
        fixed = self.fixed(production)
        try:
            wanted = parse_filters(
                expressions, lambda key: production.kinds_of(key, reveals_metadata=self.is_open)
            )
            parse_filter(wanted)
            production.check_metadata(wanted, reveals_metadata=self.is_open)
        except ConfigurationError as error:
            raise CallRefused(str(error)) from None
        conditions = wanted.conditions if wanted is not None else ()
        if any(condition.key == _CLOSED_FIELD for condition in conditions):
            raise CallRefused(
                f"cannot filter by {_CLOSED_FIELD}: the server has one access filter for all callers"
            )
        return SearchFilter(fixed.conditions + conditions)
