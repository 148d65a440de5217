"""The theme line of each mail, made from what stands first in it and why."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.recommend.crowd import Picks
from serving.email.campaign import BlockKind, Campaign
from serving.email.planned import spot
from serving.email.words import ENGLISH, filled, one_line, places, shipped, spoken


class Themes:
    """Theme lines of one campaign.

    Parameters
    ----------
    named : all items, in `NAMED_SCHEMA` and the order of the models.
    """

    def __init__(self, campaign: Campaign, named: pl.DataFrame) -> None:
        self._campaign = campaign
        self._ids = named["item_id"].to_list()
        self._named: Mapping[str, tuple[Any, ...]] = {row[0]: row[1:] for row in named.iter_rows()}
        self._spoken = lru_cache(maxsize=None)(self._spoken_for)
        self._names_the_customer = {
            (language, number): "name" in places(words.themes[block.kind])
            for language, words in campaign.words.items()
            for number, block in enumerate(campaign.blocks)
        }
        self._line = lru_cache(maxsize=200_000)(self._made)

    def of(
        self, languages: pl.Series, names: pl.Series, first: Picks, block: npt.NDArray[np.int16]
    ) -> tuple[int, list[str]]:
        """The line of each mail; and how many are in another language than the customer's, of which there are no words.

        Parameters
        ----------
        languages, names : of the customers.
        first, block : the item that stands first in each mail, and its block.
        """
        found, other = [], 0
        items, becauses = first.item.tolist(), first.because.tolist()
        for language, name, item, because, number in zip(
            languages.to_list(), names.to_list(), items, becauses, block.tolist(), strict=True
        ):
            words, is_other = self._spoken(language)
            other += is_other
            own_name = name if self._names_the_customer[words, number] else None
            found.append(self._line(words, number, item, because, own_name))
        return other, found

    def _spoken_for(self, language: str) -> tuple[str, bool]:
        """The language of the words for a customer's language, and whether it is another one."""
        words = spoken(language, self._campaign.words, self._campaign.shop.language)
        return words, language.lower()[:2] != words.lower()[:2]

    def _made(self, language: str, number: int, item: int, because: int, name: str | None) -> str:
        item_id: str = self._ids[item]
        reason = None if because < 0 else self._ids[because]
        values = spot(item_id, reason, self._named) | {"name": name, "shop": self._campaign.shop.name}
        words, kind = self._campaign.words[language], self._campaign.blocks[number].kind
        plain = shipped()[language if language in shipped() else ENGLISH].themes
        # A line that names what is not known is none; the last of them names the title alone.
        for text in (words.themes[kind], plain[kind], plain[BlockKind.FOR_YOU], plain[BlockKind.PICKED]):
            line = filled(text, values)
            if line:
                return one_line(line)
        return item_id
