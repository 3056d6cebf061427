"""A model bundle: a folder with ONNX graphs, the networks' weights and ``card.json``; nothing in it can run code."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from xpfeh.errors import ModelError
from xpfeh.files import whole_file, whole_folder
from xpfeh.inference.card import FORMAT, ModelCard, Training
from xpfeh.inference.golden import golden_answer
from xpfeh.inference.graph import Graph
from xpfeh.provenance import code_version
from xpfeh.settings import Recipe, first_problem

MODEL = "model.onnx"
"""The graph from features to all predicted columns."""
SLOPES = "slopes.onnx"
"""The graph from features to d[Fe/H] / d flux."""
WEIGHTS = "model.weights.h5"
"""The networks' weights for Keras, for further training."""
CARD = "card.json"

PRETRAINED = "pretrained"
"""The model that ships with the package, made by ``make model``."""
PRETRAINED_FOLDER = Path(__file__).parent / PRETRAINED


def write_bundle(folder: str | Path, files: Mapping[str, bytes], recipe: Recipe, training: Training) -> ModelCard:
    """Write a bundle, whole or not at all, and return its card; an earlier bundle in `folder` is replaced.

    Parameters
    ----------
    folder : str or Path
    files : mapping of bytes
        By the file names above.
    recipe : Recipe
    training : Training
    """
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    content = hashlib.sha256("".join(checksums.values()).encode()).hexdigest()
    card = ModelCard(
        **dict(training),
        version=f"{recipe.name}-{content[:12]}",
        sha256=checksums,
        recipe=recipe,
        golden=golden_answer(Graph(files[MODEL]), recipe, training.preprocess),
        made_by=code_version(),
    )
    with whole_folder(folder, mark=CARD) as work:
        for name, content_of_file in files.items():
            (work / name).write_bytes(content_of_file)
        (work / CARD).write_text(_text(card))
    return card


def write_card(folder: str | Path, card: ModelCard) -> ModelCard:
    """Replace a bundle's card, and return it."""
    with whole_file(Path(folder) / CARD) as temporary:
        temporary.write_text(_text(card))
    return card


def _text(card: ModelCard) -> str:
    return card.model_dump_json(indent=1) + "\n"


def pack(folder: str | Path) -> dict[str, bytes]:
    """Return the files of a bundle needed to predict, by name, to send to a machine without its folder."""
    return {name: (Path(folder) / name).read_bytes() for name in (MODEL, CARD)}


@contextmanager
def unpack(files: dict[str, bytes]) -> Iterator[Path]:
    """Write the files returned by `pack` to a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        yield Path(folder)


def read_card(folder: str | Path) -> ModelCard:
    """Return a bundle's card.

    Raises
    ------
    UserError
        If the folder is not a bundle, its card was changed, or this version does not know its format.
    """
    path = Path(folder) / CARD
    try:
        text = path.read_text()
        values = json.loads(text)
        version_of_format = values["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{folder}: not a model bundle (no readable {CARD}); make one with xpfeh train") from None
    if version_of_format != FORMAT:
        raise ModelError(
            f"{folder}: bundle of format {version_of_format}, this version reads format {FORMAT}; retrain the model"
        )
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(
            f"{path}: {first_problem(error)}; the card was changed, copy the bundle from its source again"
        ) from None


def read_file(folder: str | Path, name: str, card: ModelCard) -> bytes:
    """Return the content of a file in a bundle.

    Raises
    ------
    UserError
        If its checksum is not the one on the card.
    """
    path = Path(folder) / name
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != card.sha256.get(name):
        raise ModelError(f"{path}: does not match its checksum in {CARD}; copy the bundle from its source again")
    return content
