"""The main job, end to end, on real spectra: what `make demo` and `xpfeh demo` run."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import requests
from rich.console import Console

from xpfeh.commands.catalog import make_catalog
from xpfeh.commands.compare import compare
from xpfeh.commands.ingest import ingest
from xpfeh.commands.labels import write_literature
from xpfeh.commands.promote import promote
from xpfeh.commands.publish import publish
from xpfeh.commands.read_sample import read_sample
from xpfeh.commands.report_stars import NOTHING, Comparisons
from xpfeh.commands.serve import LOCAL_CONFIG, running_endpoint
from xpfeh.commands.train import train_and_record
from xpfeh.commands.validate import validate
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.verify import verify
from xpfeh.errors import UserError
from xpfeh.experiments.mlflow_runs import EXPERIMENT
from xpfeh.experiments.models import bundle_folder
from xpfeh.experiments.search import search
from xpfeh.files import check_output_folder
from xpfeh.inference.cross_validated import CrossValidated
from xpfeh.settings import PreprocessSettings, recipe_named
from xpfeh.sources.library import NAME, library_path, read_spectra

_MARK = "made-by-xpfeh-demo"
_STARS_REQUESTED = 20


def run_demo(
    out: Path, trials: int, steps: int, paper_steps: int, console: Console, comparisons: Comparisons = NOTHING
) -> None:
    """Run the whole pipeline and leave all output in `out`; an earlier demo there is replaced.

    Raises
    ------
    UserError
        If `out` holds anything but an earlier demo, a file to compare with is missing, or an answer of the endpoint
        differs from the catalog.
    NotPromotedError
        If the winner fails a gate.
    """
    comparisons.check()
    out = check_output_folder(out, _MARK).absolute()
    shutil.rmtree(out, ignore_errors=True)
    (out / "mlflow").mkdir(parents=True)
    (out / _MARK).touch()
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{out / 'mlflow' / 'mlflow.db'}"
    begun = time.monotonic()

    def print_step(text: str) -> None:
        console.print(f"{time.monotonic() - begun:4.0f} s  {text}", style="bold", soft_wrap=True)

    print_step("Ray Data: real XP spectra to features")
    features, labels = str(out / "features"), out / "labels.parquet"
    records = ingest([NAME], features, PreprocessSettings())
    with_feh = write_literature(labels).counts["stars delivered"]
    console.print(f"{sum(r.rows_written for r in records)} stars, {with_feh} with [Fe/H]")

    sample = read_sample(features, labels)
    paper, published = out / "paper", recipe_named("paper")
    stars = len(sample.part("train"))
    print_step(f"UA-CSNet as published, {paper_steps} of {published.steps} steps, on {stars} stars")
    train_and_record(sample, published.with_overrides([f"steps={paper_steps}"]), paper)

    print_step(
        f"Ray Tune: {trials} trials of {steps} steps, recorded in MLflow; the best as ensembles, cross-validated"
    )
    winner = search([sample], "demo", trials, steps, str(out / "searches"), finalists=2, members=10).winner
    console.print(
        f"winner: run {winner.run_id}, cross-validated MAE {winner.mae:.3f} ± {winner.mae_error:.3f} dex",
        soft_wrap=True,
    )
    compare(EXPERIMENT, out / "comparison.html")

    print_step("The ensemble through the gates")
    run_id = winner.run_id
    promotion = promote(run_id, sample)
    champion = f"models:/xpfeh/{promotion.version}"
    console.print(f"champion: {champion}, run {run_id}; {len(promotion.gates)} gates hold")

    print_step("Ray Data: the catalog, verified")
    bundle = bundle_folder(champion)
    make_catalog(features, bundle, out / "catalog")
    account = verify(out / "catalog")
    if account.problems:
        raise UserError(f"the catalog is not whole: {account.problems[0]}")
    console.print(
        f"{account.requested} stars requested = {account.written} rows, each star once: {out / 'catalog'}",
        soft_wrap=True,
    )

    print_step("The report, on the fifth of the sky that no model has seen: the champion, the paper's recipe, XGBoost")
    models = {"champion": CrossValidated([bundle]), "paper": CrossValidated([paper])}
    comparisons = replace(comparisons, catalog=str(out / "catalog"), baseline=True)
    metrics = validate(models, features, labels, out / "report", comparisons, truth="APOGEE and literature")
    for name, slices in metrics.items():
        m = slices["all"]
        numbers = f"robust sigma {m['robust_sigma']:.3f}, MAE {m['mae']:.3f}, bias {m['bias']:+.3f} dex"
        console.print(f"{name}: {m['n']} stars, {numbers}")

    publish(out / "catalog", out / "release", ["hats", "fits"], report=out / "report")
    console.print(f"release, the report within: {out / 'release'}", soft_wrap=True)

    print_step("Ray Serve: query the endpoint")
    with running_endpoint(LOCAL_CONFIG, champion) as address:
        _check_answers(address, out)
    console.print(f"{_STARS_REQUESTED} answers equal their catalog rows to the last bit")
    print_step(f"done: open {out / 'report' / 'index.html'} and {out / 'comparison.html'}")


def _check_answers(address: str, out: Path) -> None:
    """Request some stars one by one, and compare each answer with its catalog row."""
    stars = read_spectra(library_path(NAME), 0, _STARS_REQUESTED)
    catalog = Dataset.at(out / "catalog").read(source_ids=stars["source_id"])
    for i in range(_STARS_REQUESTED):
        star = {name: _as_json(values[i]) for name, values in stars.items()}
        response = requests.post(f"{address}/v1/predict", json={"stars": [star]}, timeout=60)
        if response.status_code != 200:
            raise UserError(f"the endpoint refused a star: {response.text}")
        answer = response.json()["stars"][0]
        row = catalog.filter(pc.field("source_id") == answer["source_id"]).to_pylist()[0]
        if "error" in answer or {name: answer[name] for name in row} != row:
            raise UserError(f"the endpoint's answer differs from the catalog:\n{answer}\n{row}")


def _as_json(value: np.generic | np.ndarray) -> Any:
    plain = value.tolist()
    return None if isinstance(plain, float) and np.isnan(plain) else plain
