"""What a model says of itself: ``card.json`` of its bundle, typed, so that a wrong key cannot exist."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from xpfeh.labels.sample import SampleOrigin
from xpfeh.settings import Recipe

FORMAT: Literal[3] = 3
"""Of the bundle. Format 1 had no calibrated intervals, format 2 no edges and no E(B-V) among the inputs."""


class StarCounts(BaseModel):
    """How many stars the members learnt from, were judged by, and have not seen at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int
    validation: int
    test: int


class Training(SampleOrigin):
    """How a model came about: its sample (see `SampleOrigin`) and what training it showed.

    Attributes
    ----------
    stars : StarCounts
    restarted_members : int
        Members that collapsed in the warm-up and were started afresh.
    domain_threshold : float
        Domain score of the worst 1 % of the validation stars.
    seconds : float
        Time of training and calibrating.
    validation : dict of float
        `xpfeh.evaluate.metrics.summary` of the validation stars.
    """

    stars: StarCounts
    restarted_members: int
    domain_threshold: float
    seconds: float
    validation: dict[str, float]


class ModelCard(Training):
    """The card of a model bundle.

    Attributes
    ----------
    format : int
    version : str
        The model's name: its recipe, and the beginning of the SHA-256 of its content.
    sha256 : dict of str
        Of the bundle's other files, by their names.
    recipe : Recipe
    made_by : dict of str
        Versions of xpfeh, its commit and its packages.
    """

    format: Literal[3] = FORMAT
    version: str
    sha256: dict[str, str]
    recipe: Recipe
    made_by: dict[str, str]
