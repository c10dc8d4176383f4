"""A proxy before PostgreSQL that loses answers: the server has done the work, and the client does not know it."""

from collections.abc import Callable

from rag_assets_tests.sources.scenes.postgres_server import FailingProxy

_COMMIT = b"COMMIT\0"


class LosingProxy(FailingProxy):
    """Cuts the connection instead of passing on the answer to a commit.

    Attributes:
        losing: number of the next lost commit, 1 for the next one. 0 loses none.
    """

    def __init__(self, to_port: int) -> None:
        self.losing = 0
        super().__init__(to_port, b"no such mark")

    def _asked(self) -> Callable[[bytes], bool]:
        def look(data: bytes) -> bool:
            if self.losing and _COMMIT in data:
                self.losing -= 1
                self._lost = not self.losing
            return True

        return look

    def _answered(self) -> Callable[[bytes], bool]:
        def look(_data: bytes) -> bool:
            lost, self._lost = self._lost, False
            return not lost

        return look

    _lost = False
