"""One customer's list in one compiled call: neighbours and factors, masks, the best few, and whose word each is.

Retrieve, then rank. Sources that name few items (neighbours by behaviour, by walk and by content, what is bought again)
are added up first; the best `RETRIEVED` items by them are candidates, and every source, low rank too, puts these in
order. Where they name too few, popular items are candidates as well; where no such source counts, all items are.
Where the candidates are given, all of them are put in order, those for which nothing speaks behind the others. What an
answer costs depends on the history's length, not on the catalogue's.

The score of an item is Σ_s w_s · score_s / scale_s and what everybody wants. The scale of a source is the root mean
square of its scores over all items, so that every source counts by its weight whatever its units; a source that scores
nothing is left out. What may be shown does not matter: when an item sells out, the others' scores stay. Popularity only
puts items in order for which the history speaks; it speaks for none by itself.

`types` is what goes in and comes out, `retrieval` finds and orders candidates, `reasons` tells whose word an item is,
`listing` is the call. What is kept on disk of the compiled code is one entry, that of `listing`, which contains all the
others and what it calls of `recsys.models` (`factors`, `kernels`, `prefetch`): when one of these changes, remove
`listing`'s `*.nbi`.
"""

from recsys.recommend.kernel.listing import flattened, list_items, list_rows
from recsys.recommend.kernel.types import (
    ALS,
    BY_NEW,
    BY_NONE,
    BY_OTHERS,
    BY_POPULARITY,
    BY_RISING,
    CONTENT,
    FEWEST,
    ITEM_ITEM,
    MOST_EVIDENCE,
    NAMED_EVIDENCE,
    NO_BOOST,
    POOL,
    POPULAR,
    REPEAT,
    RETRIEVED,
    ROUNDING,
    RP3BETA,
    SPECTRAL,
    UNITS,
    Asked,
    Listed,
    ListedRows,
    Lists,
    Rows,
    Sources,
    Workspace,
    only,
)

__all__ = [
    "ALS",
    "BY_NEW",
    "BY_NONE",
    "BY_OTHERS",
    "BY_POPULARITY",
    "BY_RISING",
    "CONTENT",
    "FEWEST",
    "ITEM_ITEM",
    "MOST_EVIDENCE",
    "NAMED_EVIDENCE",
    "NO_BOOST",
    "POOL",
    "POPULAR",
    "REPEAT",
    "RETRIEVED",
    "ROUNDING",
    "RP3BETA",
    "SPECTRAL",
    "UNITS",
    "Asked",
    "Listed",
    "ListedRows",
    "Lists",
    "Rows",
    "Sources",
    "Workspace",
    "flattened",
    "list_items",
    "list_rows",
    "only",
]
