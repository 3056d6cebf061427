"""A model bundle: a folder with ``weights.h5`` and ``card.json``, and nothing that can run code."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from xpfeh.errors import UserError
from xpfeh.model.network import UACSNet, build_network
from xpfeh.provenance import code_version, file_fingerprint
from xpfeh.settings import PreprocessSettings, Recipe

WEIGHTS = "model.weights.h5"
CARD = "card.json"
_FORMAT = 1


def write_bundle(folder: str | Path, network: UACSNet, card: dict[str, Any]) -> dict[str, Any]:
    """Write a bundle, whole or not at all, and return its finished card.

    Parameters
    ----------
    folder : str or Path
        Where to; an earlier bundle there is replaced.
    network : UACSNet
    card : dict
        What made the model: ``preprocess`` settings, training data, numbers; the recipe, checksum, versions and
        name are added here.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / CARD).is_file() and any(folder.iterdir()):
        raise UserError(f"{folder} holds other files and is no model bundle; choose another --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        work = Path(temporary) / "bundle"
        work.mkdir()
        network.save_weights(work / WEIGHTS)
        checksum = file_fingerprint(work / WEIGHTS)
        recipe = network.recipe.model_dump(mode="json")
        card = {
            "format": _FORMAT,
            "version": f"{recipe['name']}-{checksum[:12]}",
            "weights_sha256": checksum,
            "recipe": recipe,
            **card,
            "made_by": code_version(),
        }
        (work / CARD).write_text(json.dumps(card, indent=1) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        work.rename(folder)
    return card


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


def read_bundle(folder: str | Path) -> tuple[UACSNet, dict[str, Any]]:
    """Return a bundle's network and card.

    Raises
    ------
    UserError
        If the folder is not a bundle, or its weights are not those its card names.
    """
    card = read_card(folder)
    weights = Path(folder) / WEIGHTS
    if not weights.is_file() or file_fingerprint(weights) != card["weights_sha256"]:
        raise UserError(
            f"{weights}: not the weights that {CARD} names by checksum; take the bundle from its source again"
        )
    recipe = Recipe.of(card["recipe"])
    network = build_network(recipe, PreprocessSettings.of(card["preprocess"]).n_pixels, recipe.seed)
    network.load_weights(weights)
    return network, card
