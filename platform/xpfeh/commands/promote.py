"""Promotion: a challenger that passes the gates, against the best champion so far, becomes champion."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.errors import UserError
from xpfeh.evaluate.baseline import boosted_trees
from xpfeh.evaluate.metrics import sliced_summary, summary, with_errors
from xpfeh.evaluate.paired import bootstrap
from xpfeh.evaluate.whole_sky import groups_of, is_giant
from xpfeh.evaluate.whole_star import giants_found
from xpfeh.experiments import registry
from xpfeh.experiments.gates import BY_SPECTRUM, FAINT, FAINT_G, MAX_SKY_BIAS, Gate, Rival, judge
from xpfeh.inference.cross_validated import answers
from xpfeh.inference.graph import CHUNK
from xpfeh.inference.inputs import INPUTS
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.training.noise import as_if_at
from xpfeh.typing import Columns

_MOST_CHAMPIONS = 10  # judged again at each promotion, some seconds each


@dataclass(frozen=True)
class Promotion:
    """A new champion.

    Attributes
    ----------
    version : str
        In the registry.
    gates : list of Gate
        The gates it was judged by.
    notes : list of str
        What it was compared with, what could not be compared, and why.
    looks : int or None
        How often these held-out stars have been looked at, including this time.
    """

    version: str
    gates: list[Gate]
    notes: list[str]
    looks: int | None


class NotPromotedError(Exception):
    """A gate failed.

    Attributes
    ----------
    gates, notes, looks
        As in `Promotion`.
    """

    def __init__(self, gates: Sequence[Gate], notes: Sequence[str] = (), looks: int | None = None) -> None:
        super().__init__("not promoted: " + ", ".join(gate.name for gate in gates if not gate.holds))
        self.gates = list(gates)
        self.notes = list(notes)
        self.looks = looks


def promote(run: str, sample: Sample, force: str | None = None) -> Promotion:
    """Make a run's model the champion if it passes every gate.

    Parameters
    ----------
    run : str
        The run's id, or a unique prefix of it.
    sample : Sample
        Its test stars judge; a model that learns from the whole sky is also judged on the rest of the test sky.
    force : str, optional
        Promote even if a gate fails, for this reason, which is recorded.

    Raises
    ------
    NotPromotedError
        If a gate fails and the promotion is not forced.
    UserError
        If there is no such run, its model or the current champion cannot be judged on the sample, or another model was
        promoted meanwhile.
    """
    candidate = registry.candidate_of(run)
    before = registry.champion()
    challenger = _Judged.of(candidate.folder, sample)
    looks = registry.count_look(sample.origin.split.salt)
    champions, notes = _champions(before, sample, forced=force is not None)
    rival, baseline_mae = None, None
    if champions:
        version = max(champions, key=lambda version: challenger.mae_beyond(champions[version]))
        notes.append(f"compared with version {version}, the best on these stars of {len(champions)} champions")
        rival = challenger.against(champions[version])
    else:
        baseline_mae = _baseline_mae(challenger, sample, notes)
    gates = judge(challenger.metrics(sample), rival, baseline_mae)
    if force is None and not all(gate.holds for gate in gates):
        raise NotPromotedError(gates, notes, looks)
    tags = {"gates": json.dumps([asdict(gate) | {"holds": gate.holds} for gate in gates])}
    if force is not None:
        tags["forced_because"] = force
    return Promotion(registry.make_champion(candidate, before, tags), gates, notes, looks)


@dataclass(frozen=True)
class _Judged:
    """A model, and the held-out stars with its predictions."""

    predictor: Predictor
    stars: dict[str, NDArray]

    @classmethod
    def of(cls, bundle: str | Path, sample: Sample) -> _Judged:
        predictor = fair_judge(bundle, sample)
        stars = sample.part("test").columns
        answered = answers(predictor, stars)
        if not np.isfinite(answered["FEH"]).any():
            raise UserError(f"{predictor.version}: predicts [Fe/H] for none of the held-out stars")
        return cls(predictor, answered)

    @property
    def residual(self) -> NDArray[np.float64]:
        """Predicted minus true [Fe/H] (N,), dex; NaN without a prediction."""
        return self.stars["FEH"].astype(np.float64) - self.stars["feh"]

    def mae_beyond(self, other: _Judged) -> float:
        """Return by how much the MAE exceeds another model's (dex), on stars for which both predict [Fe/H]."""
        a, b = np.abs(self.residual), np.abs(other.residual)
        both = np.isfinite(a) & np.isfinite(b)
        return float(np.mean(a[both] - b[both])) if both.any() else -np.inf

    def against(self, other: _Judged) -> Rival:
        """Return the comparison with another model, this one's rival."""
        a, b = self.residual, other.residual
        both = np.isfinite(a) & np.isfinite(b)
        spreads = bootstrap(a[both], b[both], self.stars["source_id"][both])
        return Rival(spreads, _stars_per_second(other.predictor, other.stars))

    def metrics(self, sample: Sample) -> dict[str, dict[str, float]]:
        """Return the numbers for `xpfeh.experiments.gates.judge`."""
        metrics = sliced_summary(self.stars)
        outside = self.stars["domain_score"] > self.predictor.card.domain_threshold
        metrics["all"]["outside"] = float(np.mean(outside))
        metrics["all"]["stars_per_s"] = _stars_per_second(self.predictor, self.stars)
        flux, flux_error = as_if_at(FAINT_G, self.stars, np.random.default_rng(0))
        copies = {**self.stars, "flux": flux, "flux_error": flux_error}
        metrics[FAINT] = summary({"feh": copies["feh"], **self.predictor.predict(copies)})
        if self.predictor.card.recipe.stars == "all":
            stars = sample.part("test", "test-other").columns
            metrics |= _whole_sky(answers(self.predictor, rows_of(stars, np.isfinite(stars["feh"]))))
        return metrics


def _whole_sky(stars: Columns) -> dict[str, dict[str, float]]:
    """Return the numbers of the groups that a whole-sky model is judged on, and how well it finds giants."""
    chosen = groups_of(stars)
    numbers = {group: with_errors(rows_of(stars, chosen[group])) for group in MAX_SKY_BIAS}
    if not np.isfinite(stars["LOGG"]).any():
        return numbers
    return numbers | {BY_SPECTRUM: giants_found(stars, is_giant(stars["LOGG"]))}


def fair_judge(bundle: str | Path, sample: Sample) -> Predictor:
    """Return the predictor of a bundle that can fairly be judged on the test stars of `sample`.

    Raises
    ------
    UserError
        If the bundle is invalid, does not fit the features, or was trained on another split of the sky, or no star is
        held out.
    """
    predictor = Predictor(bundle)
    if not (sample.columns["part"] == "test").any():
        raise UserError("no labelled star falls in the held-out sky cells; give more labels")
    predictor.check_features(sample.origin.preprocess, "the sample's features")
    if predictor.card.split != sample.origin.split:
        raise UserError(
            f"{predictor.version}: trained on the split {predictor.card.split.name!r} of the sky; the held-out "
            f"stars of the split {sample.origin.split.name!r} are not held out from it"
        )
    return predictor


def _champions(before: str | None, sample: Sample, forced: bool) -> tuple[dict[str, _Judged], list[str]]:
    """Return the champions so far that can be judged on the sample, by version, and why the others cannot."""
    if before is None:
        return {}, []
    judged, notes = {}, []
    for version in dict.fromkeys((before, *registry.champions(_MOST_CHAMPIONS))):
        try:
            judged[version] = _Judged.of(registry.fetch(f"models:/{registry.REGISTERED_NAME}/{version}"), sample)
        except UserError as error:
            if version == before and not forced:
                raise UserError(
                    f"the current champion, version {version}, cannot be compared with this model ({error}); to "
                    "promote it anyway: --force --why"
                ) from None
            notes.append(f"version {version} not compared: {error}")
    return judged, notes


def _baseline_mae(challenger: _Judged, sample: Sample, notes: list[str]) -> float | None:
    """Return the MAE (dex) of boosted trees on the challenger's stars with [Fe/H], if they can be trained."""
    try:
        feh = boosted_trees(sample, sample.part("test").columns)["FEH"]
    except UserError as error:
        notes.append(f"not compared with XGBoost: {error}")
        return None
    notes.append("compared with XGBoost, as a first champion")
    given = np.isfinite(challenger.residual)
    return float(np.abs(feh - challenger.stars["feh"])[given].mean())


def _stars_per_second(predictor: Predictor, stars: Columns) -> float:
    """Return the best of three timings with full chunks."""
    rows = np.resize(np.arange(len(stars["feh"])), 64 * CHUNK)
    many = {name: stars[name][rows] for name in INPUTS}
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        predictor.predict(many)
        times.append(time.perf_counter() - begun)
    return len(rows) / min(times)
