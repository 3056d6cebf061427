"""A model's description of itself: ``card.json`` in its bundle, typed so that a wrong key cannot exist."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from xpfeh.inference.calibration import Calibration, FurtherCalibration
from xpfeh.inference.edges import Edges
from xpfeh.inference.golden import GoldenAnswer
from xpfeh.inference.seen import Seen
from xpfeh.inference.stretch import Stretch
from xpfeh.labels.sample import SampleOrigin
from xpfeh.settings import Recipe

FORMAT: Literal[7] = 7
"""Of the bundle; incremented when a change makes older bundles unreadable."""


class StarCounts(BaseModel):
    """The number of stars that the members were trained on, were judged on, and have not seen at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int
    validation: int
    test: int


class Training(SampleOrigin):
    """How a model was made: its sample (see `SampleOrigin`) and the results of its training.

    Attributes
    ----------
    stars : StarCounts
    restarted_members : int
        Members that collapsed in the warm-up and were restarted.
    stretch, calibration, further, edges
        The corrections of the networks' predictions and errors, and the limits of both, as in the graph.
    domain_threshold : float
        Domain score that the worst 1 % of the validation stars exceed.
    seen : Seen
        Properties of the stars that it was judged on.
    seconds : float
        Time for training and calibration.
    validation : dict of float
        `xpfeh.evaluate.metrics.summary` of the validation stars.
    good : dict of float
        `xpfeh.evaluate.good_stars.good_numbers` of all stars that it was judged on: of the whole sky, if it was trained
        on that. Unknown numbers are left out.
    """

    stars: StarCounts
    restarted_members: int
    stretch: Stretch
    calibration: Calibration
    further: FurtherCalibration | None = None
    edges: Edges
    domain_threshold: float
    seen: Seen
    seconds: float
    validation: dict[str, float]
    good: dict[str, float] = Field(default_factory=dict)  # earlier cards lack it


class ModelCard(Training):
    """The card of a model bundle.

    Attributes
    ----------
    format : int
    version : str
        The model's name: its recipe, and the beginning of the SHA-256 of its content.
    sha256 : dict of str
        Checksums of the bundle's other files, by name.
    recipe : Recipe
    golden : tuple of float
        Its prediction for the golden star (`xpfeh.inference.golden`).
    made_by : dict of str
        Versions of xpfeh, its commit and its packages.
    held_out : dict of dict of float
        Only for the model that ships with the package: its numbers on held-out stars, as `xpfeh validate` reports them.
    data : str
        Only for that model: its training data, their owners and terms of use.
    """

    format: Literal[7] = FORMAT
    version: str
    sha256: dict[str, str]
    recipe: Recipe
    golden: GoldenAnswer
    made_by: dict[str, str]
    held_out: dict[str, dict[str, float]] = Field(default_factory=dict)
    data: str = ""
