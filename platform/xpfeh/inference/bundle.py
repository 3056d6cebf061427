"""A model bundle: a folder with the weights, ``errors.json`` and ``card.json``, and nothing that can run code."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from xpfeh.errors import UserError
from xpfeh.files import first_line, sha256_of, whole_folder
from xpfeh.inference.calibration import Calibration
from xpfeh.inference.card import FORMAT, ModelCard, Training
from xpfeh.inference.domain import Domain
from xpfeh.inference.edges import Edges
from xpfeh.inference.stretch import Stretch
from xpfeh.provenance import code_version
from xpfeh.settings import first_problem
from xpfeh.training.network import UACSNet, build_network

WEIGHTS = "model.weights.h5"
ERRORS = "errors.json"
CARD = "card.json"


class _Errors(BaseModel):
    """What ``errors.json`` holds: the constants that make the networks' answers and their errors true."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stretch: Stretch
    calibration: Calibration
    domain: Domain
    edges: Edges


@dataclass(frozen=True)
class Model:
    """What predicts: networks, what makes them and their errors true, which spectra they know, where answers end."""

    network: UACSNet
    stretch: Stretch
    calibration: Calibration
    domain: Domain
    edges: Edges


def write_bundle(folder: str | Path, model: Model, training: Training) -> ModelCard:
    """Write a bundle, whole or not at all, and return its card; an earlier bundle at `folder` is replaced."""
    with whole_folder(folder, mark=CARD) as work:
        model.network.save_weights(work / WEIGHTS)
        errors = _Errors(stretch=model.stretch, calibration=model.calibration, domain=model.domain, edges=model.edges)
        (work / ERRORS).write_text(json.dumps(errors.model_dump()) + "\n")
        checksums = {name: sha256_of(work / name) for name in (WEIGHTS, ERRORS)}
        recipe = model.network.recipe
        content = hashlib.sha256("".join(checksums.values()).encode()).hexdigest()
        card = ModelCard(
            **dict(training),
            version=f"{recipe.name}-{content[:12]}",
            sha256=checksums,
            recipe=recipe,
            made_by=code_version(),
        )
        (work / CARD).write_text(card.model_dump_json(indent=1) + "\n")
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


def read_card(folder: str | Path) -> ModelCard:
    """Return a bundle's card.

    Raises
    ------
    UserError
        If the folder is not a bundle, its card was changed, or it is of a format that this version does not know.
    """
    path = Path(folder) / CARD
    try:
        text = path.read_text()
        values = json.loads(text)
        version_of_format = values["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder}: not a model bundle (no readable {CARD}); make one with xpfeh train") from None
    if version_of_format != FORMAT:
        raise UserError(
            f"{folder}: bundle of format {version_of_format}, this version reads format {FORMAT}; train it again"
        )
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise UserError(
            f"{path}: {first_problem(error)}; the card was changed, take the bundle from its source again"
        ) from None


def read_bundle(folder: str | Path) -> tuple[Model, ModelCard]:
    """Return a bundle's model and card.

    Raises
    ------
    UserError
        If the folder is not a bundle, or its files are not those its card names, or cannot be read.
    """
    card = read_card(folder)
    for name in (WEIGHTS, ERRORS):
        path = Path(folder) / name
        if not path.is_file() or sha256_of(path) != card.sha256.get(name):
            raise UserError(
                f"{path}: not the file that {CARD} names by checksum; take the bundle from its source again"
            )
    network = build_network(card.recipe, card.recipe.seed)
    try:
        network.load_weights(Path(folder) / WEIGHTS)
        errors = _Errors.model_validate_json((Path(folder) / ERRORS).read_text())
        errors.domain.check_pixels(card.recipe.n_pixels)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder}: {WEIGHTS} or {ERRORS} do not fit the recipe of {CARD} ({first_line(error)}); take the bundle "
            "from its source again"
        ) from None
    return Model(network, errors.stretch, errors.calibration, errors.domain, errors.edges), card
