"""Faults of sources behind a network."""

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rag_assets_tests.outages.troubles import ITEM, Fault, Troubles
from rag_assets_tests.sources.scenes.confluence import ConfluenceScene
from rag_assets_tests.sources.scenes.notion import NotionScene, id_of
from rag_assets_tests.sources.scenes.postgres import PostgresScene
from rag_assets_tests.sources.scenes.s3 import S3Scene
from rag_assets_tests.sources.scenes.urls import UrlsScene
from rag_assets_tests.web_site import Reply


class S3Troubles(Troubles):
    """Answers in place of the moto server."""

    kind = "s3"
    scene: S3Scene

    def wrong_login(self) -> AbstractContextManager[None]:
        return self._answering(lambda _: ("403 Forbidden", "InvalidAccessKeyId"))

    def unreadable(self) -> AbstractContextManager[None]:
        return self._answering(lambda key: ("403 Forbidden", "AccessDenied") if key == ITEM else None)

    @contextmanager
    def torn(self) -> Generator[None]:
        def instead(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes] | None:
            if self.name_of(environ["PATH_INFO"]) != ITEM:
                return None
            start_response("200 OK", [("Content-Length", "1000")])
            return [b"half of it"]

        with self.scene.server.answering(instead):
            yield

    @contextmanager
    def _answering(self, error: Callable[[str], tuple[str, str] | None]) -> Generator[None]:
        from rag_assets_tests.moto_server import answer_error

        def instead(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes] | None:
            found = error(self.name_of(environ["PATH_INFO"]))
            return answer_error(start_response, *found) if found else None

        with self.scene.server.answering(instead):
            yield


class UrlsTroubles(Troubles):
    """Pages of sitemaps. The second sitemap is the half that fails."""

    kind = "urls"
    half = frozenset("cde")
    scene: UrlsScene

    def wrong_login(self) -> AbstractContextManager[None]:
        return self.scene.failing("forbidden")

    def unreadable(self) -> AbstractContextManager[None]:
        return self._reply(status=403)

    def torn(self) -> AbstractContextManager[None]:
        return self._reply(torn=True)

    @contextmanager
    def _reply(self, **changes: Any) -> Generator[None]:
        replies = self.scene.site.replies
        known = replies[f"/{ITEM}"]
        assert isinstance(known, Reply)
        replies[f"/{ITEM}"] = Reply(known.body, **changes)
        yield
        replies[f"/{ITEM}"] = known


class PostgresTroubles(Troubles):
    """A table, read through a view whose text can fail to compute."""

    kind = "postgres"
    needless: dict[Fault, str] = {"one item torn": "a row arrives whole or not at all"}  # noqa: RUF012
    scene: PostgresScene

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._view("body")
        self.scene.execute(f"GRANT SELECT ON shown TO {self.scene.user}")

    def declaration(self) -> dict[str, Any]:
        return {**super().declaration(), "table": "shown"}

    def _view(self, body: str) -> None:
        columns = f"id, {body} AS body, title, updated_at"
        self.scene.execute(f"CREATE OR REPLACE VIEW shown AS SELECT {columns} FROM documents")

    def wrong_login(self) -> AbstractContextManager[None]:
        user, port, password = self.scene.user, self.scene.proxy.port, "wrong"
        return self.declared(dsn=f"postgresql://{user}:{password}@127.0.0.1:{port}/{user}")

    @contextmanager
    def unreadable(self) -> Generator[None]:
        self._view(f"CASE WHEN id = '{ITEM}' THEN (1 / (length(id) - 1))::text ELSE body END")
        yield
        self._view("body")


class ConfluenceTroubles(Troubles):
    """Data Center."""

    kind = "confluence"
    scene: ConfluenceScene

    @contextmanager
    def empty(self) -> Generator[None]:
        # Pages put back would have the version numbers of new ones.
        pages, self.scene.wiki.pages = self.scene.wiki.pages, {}
        yield
        self.scene.wiki.pages = pages

    def name_of(self, path: str) -> str:
        return chr(int(path.rpartition("/")[2]) - 100)

    def wrong_login(self) -> AbstractContextManager[None]:
        return self.declared(token="expired")

    @property
    def _item(self) -> str:
        return f"/wiki/rest/api/content/{100 + ord(ITEM)}"

    @contextmanager
    def unreadable(self) -> Generator[None]:
        self.scene.wiki.unreadable[self._item] = 403
        yield
        del self.scene.wiki.unreadable[self._item]

    @contextmanager
    def torn(self) -> Generator[None]:
        self.scene.wiki.torn.add(self._item)
        yield
        self.scene.wiki.torn.clear()


class NotionTroubles(Troubles):
    """A workspace of shared pages."""

    kind = "notion"
    scene: NotionScene

    def name_of(self, path: str) -> str:
        return next(name for name in "abcdef" if id_of(name) == path)

    def wrong_login(self) -> AbstractContextManager[None]:
        return self.declared(token="expired")

    @contextmanager
    def unreadable(self) -> Generator[None]:
        self.scene.workspace.refused[id_of(ITEM)] = (403, "restricted_resource")
        yield
        self.scene.workspace.refused.clear()

    @contextmanager
    def torn(self) -> Generator[None]:
        self.scene.workspace.torn.add(f"blocks/{id_of(ITEM)}")
        yield
        self.scene.workspace.torn.clear()
