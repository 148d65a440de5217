"""Publishers' formats, by name. To add one: describe its files as `Layout`s in a module here and name it below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from recsys.data.importers.formats.amazon_reviews import AMAZON_REVIEWS_2023
from recsys.data.importers.formats.gorse import GORSE
from recsys.data.importers.formats.movielens import MOVIELENS
from recsys.data.importers.formats.online_retail import ONLINE_RETAIL
from recsys.data.importers.formats.personalize import PERSONALIZE
from recsys.data.importers.formats.recbole import RECBOLE
from recsys.data.importers.formats.retailrocket import RETAILROCKET
from recsys.data.importers.layouts import Format

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        each.name: each
        for each in (PERSONALIZE, MOVIELENS, RECBOLE, GORSE, RETAILROCKET, ONLINE_RETAIL, AMAZON_REVIEWS_2023)
    }
)
