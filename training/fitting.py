"""From a history to fitted models and their manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from recsys import __version__
from recsys.bundle.bundle import Arrays, Stored, bundle_arrays
from recsys.bundle.manifest import FORMAT_VERSION, Manifest
from recsys.data.events import EventKind
from recsys.data.interactions import EventTable, Interactions, Tastes
from recsys.data.signals import UNKNOWN_TIME, EventWeights
from recsys.errors import InputError, NotEnoughDataError
from recsys.models.als import ALS, ALSConfig, fit_als
from recsys.models.blend import BlendWeights
from recsys.models.content import Content, ContentConfig, fit_content
from recsys.models.interest import fit_interest
from recsys.models.item_item import ItemItem, ItemItemConfig, fit_item_item, item_item_steps
from recsys.models.popularity import PopularityConfig, fit_popularity
from recsys.models.related import RelatedConfig, fit_related
from recsys.models.repeat import Repeat, RepeatConfig, category_codes, fit_repeat
from recsys.models.similarity import SimilarityConfig, SimilarityScore, fit_similarity
from recsys.models.spectral import Spectral, SpectralConfig, fit_spectral, spectral_steps
from training.checkpoints import Keeping, Unkept
from training.relevance.calibrated import Calibrated
from training.stages import StageLog

SHIPPED_BLEND = {
    "item_item": 1.0,
    "als": 0.5,
    "spectral": 0.0,
    "rp3beta": 0.0,
    "popular": 0.1,
    "content": 0.0,
    "repeat": 300.0,
}
"""Where tuning starts, and what a shop gets without it (docs/decisions/0011)."""

UNTUNED: Mapping[str, Any] = {"settings": "shipped", "cause": "no tuning was asked for"}
"""What a manifest says of tuning where there was none."""

MIN_CUSTOMERS = 5
"""So many customers with a taste for two or more items are the least that anything can be learned from."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """The shipped settings; what a bundle was trained with stands in its manifest.

    Attributes
    ----------
    event_weights : what each kind of event is worth; the rating scale is taken from the data.
    popularity, item_item, als, spectral, rp3beta, content, repeat : of the sources.
    related : of the lists that items' pages show; None: no such lists, where nothing but recommendations is asked for.
    target_kinds : what lists are there to predict. Where nobody did any of it, everything counts.
    other_targets : how much a pair without an event of these kinds is predicted beside one with; 0 to 1.
    blend : the weights of the sources in the blended score.
    seed : of everything random.
    threads : how many cores fitting may use; does not change the result.
    """

    event_weights: EventWeights = field(default_factory=EventWeights)
    popularity: PopularityConfig = field(default_factory=PopularityConfig)
    item_item: ItemItemConfig = field(default_factory=ItemItemConfig)
    als: ALSConfig = field(default_factory=ALSConfig)
    spectral: SpectralConfig = field(default_factory=SpectralConfig)
    rp3beta: SimilarityConfig = field(default_factory=lambda: SimilarityConfig(score=SimilarityScore.RP3BETA))
    content: ContentConfig = field(default_factory=ContentConfig)
    repeat: RepeatConfig = field(default_factory=RepeatConfig)
    related: RelatedConfig | None = field(default_factory=RelatedConfig)
    target_kinds: frozenset[EventKind] = frozenset({EventKind.PURCHASE})
    other_targets: float = 1.0
    blend: BlendWeights = field(default_factory=lambda: BlendWeights.constant(SHIPPED_BLEND))
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32 or self.threads < 1:
            raise InputError(
                f"seed {self.seed}, threads {self.threads}",
                expected="a seed from 0 to 4,294,967,295 and at least one thread",
            )
        if not 0 <= self.other_targets <= 1:
            raise InputError(f"other_targets is {self.other_targets}", expected="a number from 0 to 1")

    def described(self) -> str:
        """All that decides the result, as text that is the same in every process: for keys of what is kept."""
        # A set's order differs from process to process.
        ordered = replace(self, threads=1, target_kinds=frozenset())
        return f"{ordered!r} {sorted(str(kind) for kind in self.target_kinds)}"


def compile_interactions(table: EventTable) -> Interactions:
    """A store's events as arrays; NotEnoughDataError when there are none."""
    if table.events.is_empty():
        raise NotEnoughDataError(
            "the store holds no events on items",
            expected=f"at least {MIN_CUSTOMERS} customers with two or more items each",
            remedy="import a history first: `bookmatch import FILE`, or try `bookmatch simulate`",
        )
    return Interactions.from_events(table)


def fit(
    interactions: Interactions,
    catalogue: pl.DataFrame,
    config: TrainingConfig,
    stages: StageLog,
    tuning: Mapping[str, Any] = UNTUNED,
    relevance: Calibrated | None = None,
    kept: Keeping | None = None,
) -> tuple[Manifest, Arrays]:
    """Fits every source; the manifest (without the arrays' hashes) and the arrays.

    Models are fitted on tastes that do not fade: what people did long ago still says what goes together. Fading belongs
    to answering. Raises NotEnoughDataError when there is too little to learn from.

    Parameters
    ----------
    catalogue : in `ITEM_SCHEMA`.
    tuning : how the configuration was found, for the manifest.
    relevance : as it was learned with tuning; unknown by default.
    kept : where finished stages are kept for a run that goes on; nowhere by default.
    """
    kept = kept or Unkept()
    relevance = relevance or Calibrated.unknown(UNTUNED["cause"])
    with stages.stage("popularity"):
        popularity = fit_popularity(interactions, config.event_weights, config.popularity)
        interest = fit_interest(interactions, config.event_weights)
    with stages.stage("item-item", item_item_steps(len(interactions.items))):
        tastes = interactions.tastes(config.event_weights.unfading())
        strengths = tastes.matrix()
        require_enough(strengths)
        wanted = targets(interactions, tastes, config)
        item_item = ItemItem.from_arrays(
            kept.stage("item-item", lambda: _item_item(tastes, wanted, config, stages).arrays())
        )
    # These two have no name that placements rely on: where they do not count they need not be.
    spectral, rp3beta = Spectral.nothing(len(interactions.items)), ItemItem.nothing(len(interactions.items))
    if config.blend.counts("spectral"):
        with stages.stage("spectral", spectral_steps(config.spectral)):
            fitted = kept.stage("spectral", lambda: _spectral(strengths, config, stages).arrays())
            spectral = Spectral.from_arrays(fitted)
    if config.blend.counts("rp3beta"):
        with stages.stage("rp3beta"):
            fitted = kept.stage("rp3beta", lambda: fit_similarity(tastes, config.rp3beta, config.threads).arrays())
            rp3beta = ItemItem.from_arrays(fitted)
    with stages.stage("als", config.als.iterations):
        als = ALS.from_arrays(kept.stage("als", lambda: _als(strengths, config, stages).arrays()), config.als.alpha)
    with stages.stage("content"):
        content = Content.from_arrays(
            kept.stage(
                "content", lambda: fit_content(catalogue, interactions.items, config.content, config.threads).arrays()
            )
        )
    with stages.stage("repeat"):
        repeat = fit_repeat(interactions, category_codes(catalogue, interactions.items), config.repeat)
    with stages.stage("related"):
        related, related_entries = fit_related(
            interactions, tastes, config.event_weights, config.related, config.threads
        )
    models: list[Stored] = [popularity, interest, item_item, als, spectral, content, repeat, related]
    if relevance.relevance is not None:
        models.append(relevance.relevance)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        software=__version__,
        data=_described(interactions, strengths),
        event_weights=config.event_weights,
        blend=config.blend,
        models=_model_entries(config, item_item, spectral, rp3beta, content, repeat) | related_entries,
        tuning=tuning,
        relevance=relevance.report,
        seed=config.seed,
        arrays={},
    )
    return manifest, bundle_arrays(interactions.items, models, rp3beta)


def _item_item(tastes: Tastes, wanted: npt.NDArray[np.float32], config: TrainingConfig, stages: StageLog) -> ItemItem:
    return fit_item_item(tastes, wanted, config.item_item, config.threads, stages.progress.advance)


def _spectral(strengths: sparse.csr_matrix, config: TrainingConfig, stages: StageLog) -> Spectral:
    return fit_spectral(strengths, config.spectral, config.seed, config.threads, stages.progress.advance)


def _als(strengths: sparse.csr_matrix, config: TrainingConfig, stages: StageLog) -> ALS:
    return fit_als(strengths, config.als, config.seed, config.threads, stages.progress.advance)


def targets(interactions: Interactions, tastes: Tastes, config: TrainingConfig) -> npt.NDArray[np.float32]:
    """What the item-item model predicts: float32, shape (pairs of tastes,); 0 where there is no taste."""
    wanted = interactions.pairs_with(config.target_kinds) & (tastes.strength > 0)
    other = config.other_targets if wanted.any() else 1.0
    return np.where(tastes.strength > 0, np.where(wanted, 1.0, other), 0.0).astype(np.float32)


def _model_entries(
    config: TrainingConfig,
    item_item: ItemItem,
    spectral: Spectral,
    rp3beta: ItemItem,
    content: Content,
    repeat: Repeat,
) -> dict[str, dict[str, Any]]:
    """Per source its settings and what fitting it found, for the manifest."""
    predicted = {
        "target_kinds": sorted(str(kind) for kind in config.target_kinds),
        "other_targets": config.other_targets,
    }
    return {
        "popularity": asdict(config.popularity),
        "item_item": asdict(config.item_item) | predicted | {"pairs": len(item_item.neighbour)},
        "spectral": asdict(config.spectral) | {"factors": spectral.directions.shape[1]},
        "rp3beta": asdict(config.rp3beta) | {"pairs": len(rp3beta.neighbour)},
        "als": asdict(config.als),
        "content": asdict(config.content) | {"pairs": len(content.neighbours.neighbour)},
        "repeat": asdict(config.repeat) | {"kinds": [str(kind) for kind in repeat.kinds], "clock": str(repeat.clock)},
    }


def require_enough(strengths: sparse.csr_matrix) -> None:
    """NotEnoughDataError unless `MIN_CUSTOMERS` have a taste for two or more items; strengths above 0 where stored."""
    able = int(np.count_nonzero(np.diff(strengths.indptr) >= 2))
    if able < MIN_CUSTOMERS:
        raise NotEnoughDataError(
            f"{able} of {strengths.shape[0]} customers showed an interest in two or more items",
            expected=f"at least {MIN_CUSTOMERS} such customers; some hundreds give useful lists",
            remedy="import more history; `bookmatch import --dry-run` shows whether the kinds of events are recognised",
        )


def with_rating_scale(weights: EventWeights, interactions: Interactions) -> EventWeights:
    """The weights with the range of ratings found; unchanged when nothing was rated.

    The range leaves out a hundredth at either end: one rating of 1000 must not make all others equal.
    """
    rated = np.isin(interactions.kind, [EventKind.RATE.code, EventKind.REVIEW.code])
    ratings = interactions.rating[rated & np.isfinite(interactions.rating)]
    if not len(ratings):
        return weights
    low, high = np.quantile(ratings, (0.01, 0.99), method="inverted_cdf")
    return replace(weights, rating_scale=(float(low), float(high)))


def catalogue_digest(catalogue: pl.DataFrame) -> str:
    """The SHA-256 of what models learn from a catalogue, in hexadecimal: not of prices or of what is available."""
    learned = catalogue.select("item_id", "title", "author", "category", "attributes").sort("item_id")
    return hashlib.sha256(learned.write_csv().encode()).hexdigest()


def fingerprint(interactions: Interactions) -> str:
    """The SHA-256 over all arrays of a history, in hexadecimal."""
    digest = hashlib.sha256()
    for array in (
        interactions.customers.text,
        interactions.customers.offsets,
        interactions.items.text,
        interactions.items.offsets,
        interactions.indptr,
        interactions.item,
        interactions.kind,
        interactions.timestamp,
        interactions.position,
        interactions.quantity,
        interactions.rating,
    ):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _described(interactions: Interactions, strengths: sparse.csr_matrix) -> dict[str, Any]:
    codes, counts = np.unique(interactions.kind, return_counts=True)
    known = interactions.timestamp[interactions.timestamp != UNKNOWN_TIME]
    by_code = {kind.code: str(kind) for kind in EventKind}
    return {
        "fingerprint": fingerprint(interactions),
        "customers": len(interactions.customers),
        "items": len(interactions.items),
        "events": len(interactions),
        "kinds": {by_code[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)},
        "tastes": int(strengths.nnz),
        "newest": int(known.max()) if len(known) else None,
    }
