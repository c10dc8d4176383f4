"""Types of options that several sources share."""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

TextFormat = Literal["text", "markdown", "html"]
"""What the text of a document is written in, where no file name tells."""

SUFFIXES: dict[TextFormat, str] = {"text": ".txt", "markdown": ".md", "html": ".html"}
"""Format -> the ending of a file name by which its parser is chosen."""


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        # Not what is wrong with it: that would quote it.
        raise ValueError("this is not JSON") from None


JsonObject = Annotated[dict[str, Any], BeforeValidator(_from_json)]
"""A mapping; in an environment variable, a JSON object."""
