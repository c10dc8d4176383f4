"""The rights of a user of Redis, as docs/redis.md lists them."""

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"


@cache
def acl_rules() -> tuple[str, ...]:
    [line] = re.findall(r"^    ACL SETUSER rag .* ~rag:\S+ (.*)$", PAGE.read_text(encoding="utf-8"), re.M)
    return tuple(line.split())
