"""Model bundles that were changed, are of another version or are not bundles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from xpfeh.columns import FEATURES, to_table
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.inference.bundle import CARD, MODEL
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.library import NAME
from xpfeh.xp.preprocess import preprocess

from tests.cli.bad_input.case import (
    Case,
    Given,
    Make,
    copy,
    file,
    folder,
    group,
    nothing,
)
from tests.cli.bad_input.datasets import edit_json, flip_a_bit, remove, write
from tests.conftest import library_stars


def with_checksum(name: str, content: bytes) -> Callable[[Path], object]:
    """Write a file of a bundle, and its checksum into the card."""

    def change(bundle: Path) -> None:
        (bundle / name).write_bytes(content)
        card = json.loads((bundle / CARD).read_text())
        card["sha256"][name] = hashlib.sha256(content).hexdigest()
        (bundle / CARD).write_text(json.dumps(card))

    return change


def edit_card(section: str, **values: object) -> Callable[[Path], object]:
    """Set keys of a section of the card."""

    def change(bundle: Path) -> None:
        card = json.loads((bundle / CARD).read_text())
        card[section] |= values
        (bundle / CARD).write_text(json.dumps(card))

    return change


def altered(*changes: Callable[[Path], object]) -> Make:
    return copy("bundle", "model", *changes)


def small_features(here: Path, given: Given) -> None:
    """Features of another height of the Sun than the model's."""
    wanted = PreprocessSettings(sun_height_pc=20.8)
    shard = Shard(name="part-00000", source=NAME, rows=10)
    plan = Plan(kind="features", inputs={NAME: ""}, settings=wanted, shards=[shard], made_by=code_version())
    table = to_table(preprocess(library_stars(0, 10), wanted), FEATURES)
    Dataset.begin(here / "small", plan).commit(shard, [Delivery(table)])


MODELS = {
    **group(
        "model",
        "predict {star} --model model --out new/answer.fits",
        {
            "missing": (nothing, "model: not a model bundle"),
            "a file": (file("model", ""), "model: not a model bundle"),
            "an empty folder": (folder("model"), "model: not a model bundle .no readable card.json"),
            "card is a folder": (folder("model/card.json"), "model: not a model bundle"),
            "card is not JSON": (altered(write(CARD, "{")), "model: not a model bundle"),
            "card is binary": (altered(write(CARD, b"\xff\xfe\0")), "model: not a model bundle"),
            "card is a list": (altered(write(CARD, "[]")), "model: not a model bundle"),
            "format 2": (altered(edit_json(CARD, format=2)), "model: bundle of format 2, this version reads format 7"),
            "format 99": (altered(edit_json(CARD, format=99)), "model: bundle of format 99"),
            "card without recipe": (altered(edit_json(CARD, recipe=None)), "card.json: recipe: .*required"),
            "card of another key": (altered(edit_json(CARD, colour="red")), "card.json: colour: "),
            "card of no members": (altered(edit_card("recipe", members=0)), "card.json: recipe.members: "),
            "card of other pixels": (altered(edit_card("recipe", n_pixels=30)), f"{MODEL}: does not fit the recipe"),
            "card without an edge": (altered(edit_card("edges", low=None)), "card.json: edges.low: "),
            "card of a stretch that turns back": (
                altered(edit_card("stretch", factor=-1.0)),
                "card.json: stretch.factor: ",
            ),
            "graph altered": (altered(flip_a_bit(MODEL)), f"{MODEL}: does not match its checksum in card.json"),
            "graph missing": (altered(remove(MODEL)), f"{MODEL}: does not match its checksum in card.json"),
            "graph corrupt": (altered(with_checksum(MODEL, b"junk")), f"{MODEL}: not an ONNX graph"),
            "another golden answer": (altered(edit_json(CARD, golden=[0.5])), "model: predicts .* for the golden star"),
        },
    ),
    "model: no champion": Case(
        "predict {star} --model models:/xpfeh@champion --out a.fits",
        nothing,
        "models:/xpfeh@champion: no model of that name",
    ),
    "model: nobody": Case(
        "predict {star} --model models:/xpfeh@nobody --out a.fits", nothing, "models:/xpfeh@nobody: no"
    ),
    "model: no version": Case(
        "predict {star} --model models:/none/3 --out a.fits", nothing, "models:/none/3: cannot be"
    ),
    "model: odd address": Case("predict {star} --model models:/ --out a.fits", nothing, "models:/: "),
    "model: empty": Case("predict {star} --model '' --out a.fits", nothing, "an empty name"),
    "catalog run: no model": Case(
        "catalog run --features {features} --model model --out catalog", nothing, "model: not a model bundle"
    ),
    "catalog run: other features": Case(
        "catalog run --features small --model {bundle} --out catalog",
        small_features,
        "small: .*sun_height_pc is 20.8, the model",
    ),
    "validate: other features": Case(
        "validate --features small --labels {labels} --model {bundle} --out report",
        small_features,
        "none of its|no star passes|do not fit the model|too few|held-out",
    ),
    "validate: no model": Case(
        "validate --features {features} --labels {labels} --model model --out report",
        nothing,
        "model: not a model bundle",
    ),
    "validate: unknown baseline": Case(
        "validate --features {features} --labels {labels} --model {bundle} --out report --baseline forest",
        nothing,
        "--baseline forest: unknown; the only one is xgboost",
    ),
    "sensitivity: as CSV": Case(
        "sensitivity {star} --model {bundle} --out a.csv", nothing, "CSV cannot hold the columns"
    ),
}
