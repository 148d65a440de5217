"""The file of placements: what it says, its versions, and what a change of it would do."""

from recsys.recommend.placements.faults import EmptyListsError, Fault, PlacementsFileError
from recsys.recommend.placements.reading import BUILT_IN, PlacementsFile, placements_text, read_placements
from recsys.recommend.placements.repository import PlacementRepository, PlacementVersion

__all__ = [
    "BUILT_IN",
    "EmptyListsError",
    "Fault",
    "PlacementRepository",
    "PlacementVersion",
    "PlacementsFile",
    "PlacementsFileError",
    "placements_text",
    "read_placements",
]
