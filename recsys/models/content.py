"""Items that are alike by what the catalogue says of them: neighbours for an item on its first day.

The similarity of two items is Σ_f w_f · cos_f over the fields of `recsys.models.content_terms`, cos_f the cosine of
their TF-IDF vectors in the field (Salton and Buckley: Term-weighting approaches in automatic text retrieval, 1988;
computed by scikit-learn), w_f the field's weight with Σ_f w_f = 1 over the fields that the catalogue has. An item that
lacks a field has cosine 0 there, so little said is little alike.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError
from recsys.models.content_terms import FIELDS, Terms, item_terms
from recsys.models.item_item import ItemItem
from recsys.models.nearest import nearest_rows
from recsys.models.top_k import strongest_per_row

_WORDS = ("title", "description")


@dataclass(frozen=True, slots=True)
class ContentConfig:
    """How likeness is counted.

    The weights say how much a field counts beside the others; only their proportions matter. The shipped ones follow
    from what a field is: a title, an author (maker, brand) and the attributes name the thing itself; a category is
    shared by many and a description has many words that say little, so each counts half. They are not fitted to data.

    Attributes
    ----------
    title, author, category, attributes, description : the weights, 0 or above; 0 leaves a field out.
    neighbours : how many are kept per item, those of largest similarity.
    floor : pairs that are less similar are no neighbours.
    words : of a longer title or description only so many words count, those of largest weight.
    most_items_per_term : so many items meet through one term at most; bounds time, see `recsys.models.nearest`.
    """

    title: float = 1.0
    author: float = 1.0
    category: float = 0.5
    attributes: float = 1.0
    description: float = 0.5
    neighbours: int = 50
    floor: float = 0.05
    words: int = 32
    most_items_per_term: int = 500

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.type == "int" else 0
            if not (np.isfinite(value) and value >= least):
                raise InputError(f"{field.name} of the content model is {value}", expected=f"{least} or more")

    def weight(self, field: str) -> float:
        """The weight of one of `FIELDS`."""
        weights = (self.title, self.author, self.category, self.attributes, self.description)
        return weights[FIELDS.index(field)]


@dataclass(frozen=True, slots=True)
class Content:
    """Neighbours by content.

    Attributes
    ----------
    neighbours : the lists; a weight is the similarity, above 0 and at most 1.
    """

    neighbours: ItemItem

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return self.neighbours.arrays("content")

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> Self:
        """What `arrays` gave."""
        return cls(ItemItem.from_arrays(arrays, "content"))


def fit_content(frame: pl.DataFrame, items: Vocabulary, config: ContentConfig, threads: int) -> Content:
    """Neighbours of all items of a vocabulary; an item of which nothing is said has none.

    Parameters
    ----------
    frame : in `ITEM_SCHEMA`, each item once; the order of rows does not matter.
    threads : 1 or more; does not change the result.

    Raises InputError for attributes that are no JSON object.
    """
    matrix = content_matrix(frame, items, config)
    return Content(nearest_rows(matrix, config.neighbours, config.floor, config.most_items_per_term, threads))


def content_matrix(frame: pl.DataFrame, items: Vocabulary, config: ContentConfig) -> sparse.csr_matrix:
    """One row per item whose inner products are the similarities: float32, shape (items, terms)."""
    terms = item_terms(frame, items)
    parts = []
    for field in FIELDS:
        if config.weight(field) > 0 and any(terms[field]):
            part = _vectors(terms.pop(field), field in _WORDS, config.words)
            parts.append((config.weight(field), part))
    total = sum(weight for weight, _ in parts)
    if not parts:
        return sparse.csr_matrix((len(items), 0), dtype=np.float32)
    scaled = [part * np.float32(np.sqrt(weight / total)) for weight, part in parts]
    return sparse.csr_matrix(sparse.hstack(scaled, format="csr", dtype=np.float32))


def _vectors(terms: Terms, of_words: bool, most_words: int) -> sparse.csr_matrix:
    """TF-IDF vectors of one field, each of norm 1 or less: float32, shape (items, terms that two items share).

    A word that no other item has makes a text less like others, so it counts in the norm. A label that no other item
    has (a serial number) says nothing about likeness, so it does not.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = TfidfVectorizer(
        analyzer=_as_they_are, norm=None, sublinear_tf=of_words, binary=not of_words, dtype=np.float32
    )
    vectors = sparse.csr_matrix(vectorizer.fit_transform(terms))
    shared = np.bincount(vectors.indices, minlength=vectors.shape[1]) > 1
    if of_words:
        vectors.sort_indices()
        vectors = normalize(strongest_per_row(vectors, most_words))
    vectors = sparse.csr_matrix(vectors[:, shared])
    return vectors if of_words or not vectors.nnz else sparse.csr_matrix(normalize(vectors))


def _as_they_are(terms: list[str]) -> list[str]:
    return terms
