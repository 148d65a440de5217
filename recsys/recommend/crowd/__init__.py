"""Lists for many customers at once, by the models and rules that answer one: what e-mails are filled with.

`crowd` is who they are and what must not be listed, `picks` are items for them as flat arrays and how they become the
blocks of a mail, `own` are lists of what a customer had to do with, `new` of what they had not.
"""

from recsys.recommend.crowd.crowd import Crowd
from recsys.recommend.crowd.picks import Picks, chosen, keyed

__all__ = ["Crowd", "Picks", "chosen", "keyed"]
