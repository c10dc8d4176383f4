"""A world that many tests begin with, built once."""

import copy

from rag_assets_tests.histories.world import World
from rag_assets_tests.kept_folder import KeptFolder


class KeptWorld:
    """Returns a world in its state at the time of this object, again and again."""

    def __init__(self, world: World) -> None:
        self._world = copy.deepcopy(world)
        self._folder = KeptFolder(world.home)

    def restored(self) -> World:
        self._folder.restore()
        return copy.deepcopy(self._world)
