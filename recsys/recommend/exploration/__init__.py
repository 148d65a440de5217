"""Slots for items of which too little is known: by Thompson sampling, with a bound on what it may cost.

`follow` reads what was seen and says what is believed after it, `explore` gives the slots of one list. The parts:
`ItemCounts` is what was seen, `Beliefs` what follows from it, `suited` names what a customer may meet, and `choose`
says what is shown.
"""

from recsys.recommend.exploration.beliefs import MOST_EXPLORED, SCENARIOS, Beliefs
from recsys.recommend.exploration.choosing import Explored, choose
from recsys.recommend.exploration.counts import ItemCounts
from recsys.recommend.exploration.exploring import explore
from recsys.recommend.exploration.following import Followed, follow
from recsys.recommend.exploration.groups import ItemGroups
from recsys.recommend.exploration.suited import MOST_CONSIDERED, MOST_SUITED, Suited, suited

__all__ = [
    "MOST_CONSIDERED",
    "MOST_EXPLORED",
    "MOST_SUITED",
    "SCENARIOS",
    "Beliefs",
    "Explored",
    "Followed",
    "ItemCounts",
    "ItemGroups",
    "Suited",
    "choose",
    "explore",
    "follow",
    "suited",
]
