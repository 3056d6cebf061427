"""What a model says of itself: ``card.json`` of its bundle, typed, so that a wrong key cannot exist."""

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
"""Of the bundle; the next number after each change that older bundles cannot be read with."""


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
    stretch, calibration, further, edges
        What makes the networks' answers and their errors true, and where they end, as the graph has it.
    domain_threshold : float
        Domain score of the worst 1 % of the validation stars.
    seen : Seen
        What the stars that it was judged by are like.
    seconds : float
        Time of training and calibrating.
    validation : dict of float
        `xpfeh.evaluate.metrics.summary` of the validation stars.
    good : dict of float
        `xpfeh.evaluate.good_stars.good_numbers` of all stars that it was judged by; of the whole sky, if it learned
        from that. What cannot be known is left out.
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
    good: dict[str, float] = Field(default_factory=dict)  # earlier cards have none


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
    golden : tuple of float
        What it gives for the golden star (`xpfeh.inference.golden`).
    made_by : dict of str
        Versions of xpfeh, its commit and its packages.
    held_out : dict of dict of float
        Of the model that the package ships: its numbers on the stars held out from it, as `xpfeh validate` gives them.
    data : str
        Of that model: what it was trained on, whose it is, and on what terms.
    """

    format: Literal[7] = FORMAT
    version: str
    sha256: dict[str, str]
    recipe: Recipe
    golden: GoldenAnswer
    made_by: dict[str, str]
    held_out: dict[str, dict[str, float]] = Field(default_factory=dict)
    data: str = ""
