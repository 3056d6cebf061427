"""Search hyperparameters, and train the winner again as the ensemble that may become champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xpfeh.cluster.connection import ONE_CORE, Share
from xpfeh.commands.train import Trained, record_ensemble
from xpfeh.experiments.search import Outcome, search
from xpfeh.labels.sample import Sample


@dataclass(frozen=True)
class Tuned:
    """What a search found, and the winner's cross-fitted ensemble."""

    search: Outcome
    ensemble: Trained


def tune(
    samples: Sequence[Sample],
    name: str,
    trials: int,
    steps: int,
    storage: str,
    share: Share = ONE_CORE,
    resume: bool = False,
    finalists: int = 3,
    members: int = 5,
) -> Tuned:
    """Search as `xpfeh.experiments.search.search`, and train the winner as an ensemble of `members` on the cluster."""
    outcome = search(samples, name, trials, steps, storage, share, resume, finalists)
    winner = outcome.winner
    return Tuned(outcome, record_ensemble(samples[winner.sample], winner.recipe, members, members, share))
