"""Slots for items of which too little is known: by Thompson sampling, with a bound on what it may cost.

`follow` reads what was seen and says what is believed after it, `explore` says what chance decides of one list, and
`Chances.drawn` gives its slots. The parts:
`ItemCounts` is what was seen, `Beliefs` what follows from it, `suited` names what a customer may meet, and `weigh`
what may be shown, and how probable each is.
"""

from recsys.recommend.exploration.beliefs import MOST_EXPLORED, SCENARIOS, Beliefs
from recsys.recommend.exploration.choosing import Chances, Explored, choose, weigh
from recsys.recommend.exploration.counts import ItemCounts
from recsys.recommend.exploration.exploring import explore
from recsys.recommend.exploration.following import Followed, follow
from recsys.recommend.exploration.groups import ItemGroups
from recsys.recommend.exploration.suited import MOST_CONSIDERED, MOST_SUITED, Offer, Suited, suited

__all__ = [
    "MOST_CONSIDERED",
    "MOST_EXPLORED",
    "MOST_SUITED",
    "SCENARIOS",
    "Beliefs",
    "Chances",
    "Explored",
    "Followed",
    "ItemCounts",
    "ItemGroups",
    "Offer",
    "Suited",
    "choose",
    "explore",
    "follow",
    "suited",
    "weigh",
]
