"""The main job, end to end, on real spectra: what `make demo` and `xpfeh demo` run."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import requests
from rich.console import Console

from xpfeh.commands.catalog import make_catalog
from xpfeh.commands.ingest import ingest
from xpfeh.commands.inputs import read_sample
from xpfeh.commands.labels import write_apogee
from xpfeh.commands.promote import promote
from xpfeh.commands.publish import publish
from xpfeh.commands.train import record_ensemble, train_and_record
from xpfeh.commands.validate import validate
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.verify import verify
from xpfeh.errors import UserError
from xpfeh.evaluate.comparison import write_page
from xpfeh.experiments.mlflow_runs import EXPERIMENT
from xpfeh.experiments.recipes_table import curves_of, rows_of
from xpfeh.experiments.registry import local_bundle
from xpfeh.experiments.search import search
from xpfeh.serving.deploy import deploy, read_config, withdraw
from xpfeh.settings import PreprocessSettings, recipe_named
from xpfeh.sources.library import NAME, library_path, read_spectra

_ASKED = 20
_SERVE_CONFIG = Path(__file__).parents[3] / "serve_configs" / "local.yaml"


def run_demo(out: Path, trials: int, steps: int, paper_steps: int, console: Console) -> None:
    """Walk the whole way and leave all it makes in `out`; what an earlier demo left there is replaced.

    Raises
    ------
    UserError
        If `out` holds anything but an earlier demo, or an answer of the endpoint differs from the catalog.
    """
    out = out.absolute()
    marker = out / "made-by-xpfeh-demo"
    if out.exists() and any(out.iterdir()):
        if not marker.exists():
            raise UserError(f"{out} holds other files; choose another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()
    (out / "mlflow").mkdir()
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{out / 'mlflow' / 'mlflow.db'}"
    begun = time.monotonic()

    def step(text: str) -> None:
        console.print(f"[bold]{time.monotonic() - begun:4.0f} s  {text}[/bold]")

    step("Ray Data: real XP spectra to features")
    features, labels = str(out / "features"), out / "labels.parquet"
    records = ingest([NAME], features, PreprocessSettings())
    console.print(f"{sum(r.rows_written for r in records)} stars, {write_apogee(NAME, labels)} with APOGEE [Fe/H]")

    sample = read_sample(features, labels)
    step(f"UA-CSNet as published, {paper_steps} steps on {len(sample.part('train'))} stars")
    paper = out / "paper"
    train_and_record(sample, recipe_named("paper").with_overrides([f"steps={paper_steps}"]), paper)

    step(f"Ray Tune: {trials} trials of {steps} steps, recorded in MLflow")
    best = search([sample], "demo", trials, steps, out / "searches", finalists=2)
    told = f"validation MAE {best['mean']:.3f} ± {best['spread']:.3f} dex over {best['seeds']} seeds"
    console.print(f"winner: run {best['run_id']}, {told}")

    step("The winner as an ensemble of five, through the gates")
    run_id, _ = record_ensemble(sample, best["recipe"], 5)
    rows = rows_of(EXPERIMENT)
    write_page(out / "comparison.html", rows, curves_of(rows), EXPERIMENT)
    version, gates = promote(run_id, sample)
    champion = f"models:/xpfeh/{version}"
    console.print(f"champion: {champion}, run {run_id}; {len(gates)} gates hold")

    step("Ray Data: the catalog, verified and published")
    bundle = local_bundle(champion)
    make_catalog(features, bundle, out / "catalog")
    account = verify(out / "catalog")
    if account.problems:
        raise UserError(f"the catalog is not whole: {account.problems[0]}")
    console.print(f"{account.requested} stars asked for = {account.written} rows, each star once: {out / 'catalog'}")
    publish(out / "catalog", out / "release", ["hats", "fits"])
    console.print(f"release: {out / 'release'}")

    step("The report on held-out stars")
    metrics = validate({"champion": bundle, "paper": paper}, sample, out / "report", truth="APOGEE")
    for name, slices in metrics.items():
        m = slices["all"]
        numbers = f"robust sigma {m['robust_sigma']:.3f}, MAE {m['mae']:.3f}, bias {m['bias']:+.3f} dex"
        console.print(f"{name}: {m['n']} stars, {numbers}")

    step("Ray Serve: ask the endpoint")
    config = read_config(_SERVE_CONFIG)
    address = deploy(config, champion)
    try:
        same = _ask(address, out)
    finally:
        withdraw(config)
    console.print(f"{same} answers equal their catalog rows to the last bit")
    step(f"done: open {out / 'report' / 'index.html'} and {out / 'comparison.html'}")


def _ask(address: str, out: Path) -> int:
    """Ask for some stars one by one, and compare each answer with its row of the catalog."""
    stars = read_spectra(library_path(NAME), 0, _ASKED)
    table = Dataset.at(out / "catalog").read()
    for i in range(_ASKED):
        star = {name: _json(values[i]) for name, values in stars.items()}
        reply = requests.post(f"{address}/v1/predict", json={"stars": [star]}, timeout=60)
        if reply.status_code != 200:
            raise UserError(f"the endpoint refused a star: {reply.text}")
        answer = reply.json()["stars"][0]
        row = table.filter(pc.field("source_id") == answer["source_id"]).to_pylist()[0]
        if answer != row:
            raise UserError(f"the endpoint's answer differs from the catalog:\n{answer}\n{row}")
    return _ASKED


def _json(value: Any) -> Any:
    plain = value.tolist()
    return None if isinstance(plain, float) and np.isnan(plain) else plain
