"""A model bundle: a folder with the weights, ``errors.json`` and ``card.json``, and nothing that can run code."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpfeh.errors import UserError
from xpfeh.files import sha256_of
from xpfeh.inference.calibration import Calibration
from xpfeh.inference.domain import Domain
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings, Recipe
from xpfeh.training.network import UACSNet, build_network

WEIGHTS = "model.weights.h5"
ERRORS = "errors.json"
CARD = "card.json"
_FORMAT = 2


@dataclass(frozen=True)
class Model:
    """What predicts: the networks, what makes their errors true, and where they may be asked."""

    network: UACSNet
    calibration: Calibration
    domain: Domain


def write_bundle(folder: str | Path, model: Model, card: dict[str, Any]) -> dict[str, Any]:
    """Write a bundle, whole or not at all, and return its finished card.

    Parameters
    ----------
    folder : str or Path
        Where to; an earlier bundle there is replaced.
    model : Model
    card : dict
        What made the model: ``preprocess`` settings, training data, numbers; the recipe, checksums, versions and
        name are added here.
    """
    with _placed(Path(folder)) as work:
        model.network.save_weights(work / WEIGHTS)
        errors = {"calibration": model.calibration.model_dump(), "domain": model.domain.model_dump()}
        (work / ERRORS).write_text(json.dumps(errors) + "\n")
        checksums = {name: sha256_of(work / name) for name in (WEIGHTS, ERRORS)}
        recipe = model.network.recipe.model_dump(mode="json")
        card = {
            "format": _FORMAT,
            "version": f"{recipe['name']}-{hashlib.sha256(''.join(checksums.values()).encode()).hexdigest()[:12]}",
            "sha256": checksums,
            "recipe": recipe,
            **card,
            "made_by": code_version(),
        }
        (work / CARD).write_text(json.dumps(card, indent=1) + "\n")
    return card


def copy_bundle(bundle: str | Path, folder: str | Path) -> dict[str, Any]:
    """Copy a bundle, whole or not at all, and return its card; an earlier bundle at `folder` is replaced."""
    _, card = read_bundle(bundle)
    with _placed(Path(folder)) as work:
        shutil.copytree(bundle, work, dirs_exist_ok=True)
    return card


def packed(folder: str | Path) -> dict[str, bytes]:
    """Return the files of a bundle by name, to be sent to where its folder is not."""
    return {name: (Path(folder) / name).read_bytes() for name in (WEIGHTS, ERRORS, CARD)}


@contextmanager
def unpacked(files: dict[str, bytes]) -> Iterator[Path]:
    """Give the `packed` files of a bundle a folder, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        yield Path(folder)


@contextmanager
def _placed(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, which becomes `folder` once it is whole."""
    if folder.exists() and not (folder / CARD).is_file() and any(folder.iterdir()):
        raise UserError(f"{folder} holds other files and is no model bundle; choose another --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        work = Path(temporary) / "bundle"
        work.mkdir()
        yield work
        if folder.exists():
            folder.rename(Path(temporary) / "before")
        work.rename(folder)


def read_card(folder: str | Path) -> dict[str, Any]:
    """Return a bundle's card.

    Raises
    ------
    UserError
        If the folder is not a bundle, or of a format this version does not know.
    """
    path = Path(folder) / CARD
    try:
        card = json.loads(path.read_text())
        known = card["format"] == _FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder}: not a model bundle (no readable {CARD}); make one with xpfeh train") from None
    if not known:
        raise UserError(f"{folder}: bundle of format {card['format']}, this version reads format {_FORMAT}")
    return card


def read_bundle(folder: str | Path) -> tuple[Model, dict[str, Any]]:
    """Return a bundle's model and card.

    Raises
    ------
    UserError
        If the folder is not a bundle, or its files are not those its card names.
    """
    card = read_card(folder)
    for name in (WEIGHTS, ERRORS):
        path = Path(folder) / name
        if not path.is_file() or sha256_of(path) != card["sha256"].get(name):
            raise UserError(
                f"{path}: not the file that {CARD} names by checksum; take the bundle from its source again"
            )
    recipe = Recipe.of(card["recipe"])
    network = build_network(recipe, PreprocessSettings.of(card["preprocess"]).n_pixels, recipe.seed)
    network.load_weights(Path(folder) / WEIGHTS)
    errors = json.loads((Path(folder) / ERRORS).read_text())
    return Model(network, Calibration(**errors["calibration"]), Domain(**errors["domain"])), card
