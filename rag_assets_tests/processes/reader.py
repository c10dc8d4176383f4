"""A reader searching production all the time, as an application does, while refreshes run and die."""

import threading
from types import TracebackType
from typing import Self

from rag_assets.records import SearchHit
from rag_assets.retrieval import Retriever
from rag_assets_tests.processes.scene import QUESTION, Scene

Answer = tuple[tuple[str, tuple[str, ...]], ...]
"""(point id, document ids) of each hit, best first."""

_PAUSE_SECONDS = 0.05


def answer_of(hits: list[SearchHit]) -> Answer:
    return tuple((hit.point_id, tuple(location.document_id for location in hit.locations)) for hit in hits)


def ask(retriever: Retriever) -> Answer:
    return answer_of(retriever.search(QUESTION, limit=20))


def ask_once(scene: Scene) -> Answer:
    knowledge_base = scene.knowledge_base()
    retriever = knowledge_base.retriever()
    try:
        return ask(retriever)
    finally:
        retriever.close()
        knowledge_base.close()


class Reader:
    """Searches in a thread, with one open retriever, while the block runs.

    Attributes:
        num_answers: number of answers.
        answers: every answer different from the one before it.
        problem: the first error of a search, or "".
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._finished = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.num_answers = 0
        self.answers: list[Answer] = []
        self.problem = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._first.wait(180)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished.set()
        self._thread.join()

    def _run(self) -> None:
        knowledge_base = self._scene.knowledge_base()
        retriever = knowledge_base.retriever()
        try:
            finished = False
            while not finished:
                finished = self._finished.wait(_PAUSE_SECONDS)  # the last search follows the end of the block
                answer = ask(retriever)
                if not self.answers or self.answers[-1] != answer:
                    self.answers.append(answer)
                self.num_answers += 1
                self._first.set()
        except BaseException as error:
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self._first.set()
            retriever.close()
            knowledge_base.close()
