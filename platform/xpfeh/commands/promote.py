"""Promotion: a challenger is judged beside the champion on the same frozen held-out stars, then takes its place."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.commands.validate import fair_judge
from xpfeh.evaluate.gates import Gate, judge
from xpfeh.evaluate.metrics import sliced_summary
from xpfeh.experiments import registry
from xpfeh.inference.predictor import CHUNK, INPUTS, Predictor
from xpfeh.labels.sample import Sample


@dataclass(frozen=True)
class Promotion:
    """A new champion: its version in the registry, and the gates it was judged by."""

    version: str
    gates: list[Gate]


class RefusedError(Exception):
    """A gate does not hold.

    Attributes
    ----------
    gates : list of Gate
        All that were judged.
    """

    def __init__(self, gates: Sequence[Gate]) -> None:
        super().__init__("not promoted: " + ", ".join(gate.name for gate in gates if not gate.holds))
        self.gates = list(gates)


def promote(run: str, sample: Sample, force: str | None = None) -> Promotion:
    """Make a run's model the champion if it passes every gate.

    Parameters
    ----------
    run : str
        The run's id, or enough of its beginning.
    sample : Sample
        Its test stars judge.
    force : str, optional
        Promote even so, for this reason, which is recorded.

    Raises
    ------
    RefusedError
        If a gate does not hold and there is no reason to force it.
    UserError
        If there is no such run, its model does not fit the sample, or another promotion came first.
    """
    challenger = registry.bundle_of_run(run)
    before = registry.champion()
    champion = _metrics(registry.local_bundle(f"models:/{registry.MODEL}/{before}"), sample) if before else None
    gates = judge(_metrics(challenger.folder, sample), champion)
    if force is None and not all(gate.holds for gate in gates):
        raise RefusedError(gates)
    tags = {"gates": json.dumps([asdict(gate) | {"holds": gate.holds} for gate in gates])}
    if force is not None:
        tags["forced_because"] = force
    return Promotion(registry.make_champion(challenger, before, tags), gates)


def _metrics(bundle: str | Path, sample: Sample) -> dict[str, dict[str, float]]:
    predictor = fair_judge(bundle, sample)
    stars = sample.part("test").columns
    predicted = predictor.predict(stars)
    metrics = sliced_summary({**stars, **predicted})
    metrics["all"]["outside"] = float(np.mean(predicted["domain_score"] > predictor.model.domain.threshold))
    metrics["all"]["stars_per_s"] = _stars_per_second(predictor, stars)
    return metrics


def _stars_per_second(predictor: Predictor, stars: Mapping[str, NDArray]) -> float:
    """Return the best of three timings of some full chunks."""
    rows = np.resize(np.arange(len(stars["feh"])), 8 * CHUNK)
    many = {name: stars[name][rows] for name in INPUTS}
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        predictor.predict(many)
        times.append(time.perf_counter() - begun)
    return len(rows) / min(times)
