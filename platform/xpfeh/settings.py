"""Every setting of the method, named, typed and hashed.

A model bundle, a features dataset and a catalog each store the settings that made them, so that two
results can be compared by what differs between their settings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from xpfeh.errors import UserError
from xpfeh.files import absolute
from xpfeh.grid import FIRST_NM, LAST_NM, N_SAMPLES, STEP_NM

SALT = "xpfeh"
"""Names the split of the sky that all published numbers use."""


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with values from outside, in one line: where, and what."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    return ": ".join(part for part in (".".join(map(str, first["loc"])), message) if part)


def check_name(what: str, name: str) -> None:
    """Raise a `UserError` if a name has characters that folders or MLflow's queries do not allow."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise UserError(f"{what} {name!r}: a name can only have letters, digits, '_', '-' and '.'")


class Settings(BaseModel):
    """Immutable settings that refuse unknown names and have a fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex, 16 digits) of the canonical JSON of these settings."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def with_overrides(self, pairs: list[str]) -> Self:
        """Return a copy with each ``NAME=VALUE`` of `pairs` applied; values are JSON or plain words.

        Raises
        ------
        UserError
            If a pair is not ``NAME=VALUE``, the name is unknown, or the value is not of its type.
        """
        given: dict[str, object] = {}
        for pair in pairs:
            name, separator, text = pair.partition("=")
            if not separator or name not in type(self).model_fields:
                known = ", ".join(sorted(type(self).model_fields))
                raise UserError(f"--set {pair}: no setting of that name. Write NAME=VALUE; the names are {known}")
            try:
                given[name] = json.loads(text)
            except json.JSONDecodeError:
                given[name] = text
        return type(self).of({**self.model_dump(mode="json"), **given})

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Self:
        """Build the settings from plain values; an invalid one is a `UserError` that names it."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            if not error.errors()[0]["loc"]:  # several settings that conflict
                raise UserError(f"settings: {first_problem(error)}") from None
            raise UserError(f"setting {first_problem(error)} (given: {error.errors()[0]['input']!r})") from None


class PreprocessSettings(Settings):
    """From a sampled XP spectrum to the features (paper section 2.1)."""

    release: Literal["dr3", "dr4"] = Field("dr3", description="Gaia data release of the spectra")
    bases: str = Field(
        "gaiaxpy",
        # Models and datasets older than this setting keep their fingerprints.
        exclude_if=lambda bases: bases == "gaiaxpy",
        description="bases of the coefficients: GaiaXPy's own, or a folder with its XpFilter_*.xml of that release",
    )
    normalise_nm: tuple[float, float] = Field((540.0, 560.0), description="flux = 1 on average here (nm)")
    correction: Literal["uncorrected", "huang2024", "huang2024-absolute"] = Field(
        "uncorrected",
        description="systematics correction of Huang et al. (2024): needs the authors' tables in ~/.xpfeh",
    )
    dust_map: Literal["sfd-nside64", "sfd"] = Field(
        "sfd-nside64",
        description="E(B-V) of SFD98: at HEALPix nside 64, shipped; or the full map, after `xpfeh fetch sfd`",
    )
    r_bp: float = Field(2.749, ge=0, description="A_BP / E(B-V) of SFD98, synthesised from giants' spectra")
    r_g: float = Field(2.128, ge=0, description="A_G / E(B-V) of SFD98, likewise")
    r_rp: float = Field(1.589, ge=0, description="A_RP / E(B-V) of SFD98, likewise")
    sun_height_pc: float = Field(0.0, description="height of the Sun over the plane, added to Z")

    @field_validator("normalise_nm")
    @classmethod
    def _is_a_stretch_of_the_grid(cls, given: tuple[float, float]) -> tuple[float, float]:
        low, high = given
        if not (FIRST_NM <= low and low + STEP_NM <= high and high <= LAST_NM):
            raise ValueError(
                f"two wavelengths between {FIRST_NM:g} and {LAST_NM:g} nm, the second at least {STEP_NM:g} nm longer"
            )
        return given

    @field_validator("bases")
    @classmethod
    def _means_the_same_folder_anywhere(cls, given: str) -> str:
        return given if given == "gaiaxpy" else absolute(given)

    @model_validator(mode="after")
    def _corrections_are_of_their_release(self) -> Self:
        if self.correction != "uncorrected" and self.release != "dr3":
            raise ValueError(f"correction={self.correction} is for DR3 spectra; for others use correction=uncorrected")
        return self


class Recipe(Settings):
    """UA-CSNet: architecture, loss and training (paper sections 3 and 4.1, Table 1)."""

    name: str = Field("paper", pattern=r"^[\w.-]+$", description="name of runs and models")
    stars: Literal["paper", "all"] = Field(
        "paper", description="train on the stars of the paper's cuts 1 to 6, or on every star with a usable spectrum"
    )
    dust: Literal["removed", "hint"] = Field(
        "removed", description="spectrum dereddened first; or as observed, with log(E(B-V) + 0.02) as an input"
    )
    further_labels: float = Field(
        0.0, ge=0, description="weight of the squared errors of T_eff, log g and [alpha/M]; 0: [Fe/H] alone"
    )
    n_pixels: int = Field(60, ge=2, le=N_SAMPLES, description=f"pixels that the {N_SAMPLES} samples are binned into")
    inputs: Literal["standardised", "log"] = Field(
        "standardised", description="flux and error standardised; or their logarithms, clipped at 8 sigma"
    )
    components: int = Field(
        0,
        ge=0,
        le=N_SAMPLES,
        description="principal components used instead of pixels, each divided by the root of its deviation; 0: pixels",
    )
    hidden: tuple[int, ...] = Field((256, 64), description="widths of the layers before Z: FC1, FC2, ...")
    latent: int = Field(16, ge=1, description="width of Z (FC3)")
    head: tuple[int, ...] = Field((8,), description="widths after Z (FC4)")
    error_hidden: tuple[int, ...] = Field((16,), description="widths of FC'1")
    error_head: tuple[int, ...] = Field((8,), description="widths of FC'2, after the concatenation")
    activation: Literal["relu", "silu", "gelu", "tanh"] = Field("relu", description="of all hidden layers")
    floor: Literal["max", "add"] = Field("max", description="Eq. 7: sigma = max(eps, s), or eps + s; s = softplus")
    epsilon: float = Field(0.02, gt=0, description="Eq. 7's floor, on sigma (dex)")
    beta_nll: float = Field(0.0, ge=0, le=1, description="each star weighs sigma^(2 beta) in the loss")
    cost_bins: tuple[PositiveInt, PositiveInt] = Field((10, 15), description="Eq. 11: bins in (BP-RP)0 and [Fe/H]")
    cost_gamma: float = Field(0.5, ge=0, description="Eq. 11: exponent")
    l2: float = Field(1e-5, ge=0, description="lambda: L2 on kernels, in the loss")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW)")
    label_errors: bool = Field(False, description="a label's own error adds to the variance in the loss")
    folds: int = Field(
        0,
        ge=0,
        description="parts of the sky that members leave out in turn, to be judged and calibrated there; 0: none",
    )
    keep: Literal["lowest", "last"] = Field(
        "lowest", description="a member's weights at its lowest validation error, or its last"
    )
    noise: float = Field(0.0, ge=0, description="noise added to each batch, in units of XP's own")
    faint: float = Field(
        1.0, ge=1, description="half of each batch is made fainter: its errors grow by up to this factor"
    )
    batch_size: int = Field(512, ge=2, description="stars per step")
    steps: int = Field(60_000, ge=1, description="optimiser steps: the paper's 30,000 epochs of 1,012 stars")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of Adam, at its highest")
    schedule: Literal["constant", "cosine"] = Field("constant", description="of the learning rate")
    clip_norm: float = Field(0.0, ge=0, description="largest norm of a member's gradient; 0: unlimited")
    members: int = Field(1, ge=1, description="networks in the ensemble, each trained alone")
    seed: int = Field(0, ge=0, description="the same seed gives the same weights on the same kind of machine")

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        # At least two members per fold: only then do members disagree about stars that none of them was trained on.
        if self.folds and (self.folds == 1 or self.members % self.folds or self.members == self.folds):
            raise ValueError("folds must be 0 or at least 2, and members a multiple of folds, at least twice as large")
        if self.components > self.n_pixels:
            raise ValueError("components cannot be more than n_pixels")
        if min((*self.hidden, *self.head, *self.error_hidden, *self.error_head), default=1) < 1:
            raise ValueError("layer widths must be at least 1")
        return self


RECIPES: dict[str, Recipe] = {
    "paper": Recipe(),
    "best": Recipe(
        name="best",
        stars="all",
        dust="hint",
        further_labels=0.3,
        inputs="log",
        n_pixels=N_SAMPLES,
        components=160,
        hidden=(128, 128, 64),
        latent=32,
        activation="silu",
        floor="add",
        epsilon=0.006,
        label_errors=True,
        l2=0.0,
        weight_decay=0.025,
        noise=0.45,
        faint=12.0,
        batch_size=256,
        steps=12_000,
        learning_rate=6e-3,
        schedule="cosine",
        clip_norm=1.0,
        members=10,
        folds=5,
        keep="last",
    ),
}


def recipe_named(name: str) -> Recipe:
    """Return the recipe of that name; the error for an unknown one lists them."""
    if name not in RECIPES:
        raise UserError(f"recipe {name!r}: unknown; choose from {', '.join(RECIPES)}")
    return RECIPES[name]
