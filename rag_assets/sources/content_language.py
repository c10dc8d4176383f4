"""The header `Content-Language`, of web pages and of objects in buckets."""


def content_languages(header: str | None) -> str | list[str] | None:
    """Return the language, several languages as a list, or None without the header."""
    languages = [part.strip() for part in (header or "").split(",") if part.strip()]
    return languages if len(languages) > 1 else next(iter(languages), None)
