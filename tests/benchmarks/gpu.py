"""Training on a GPU, with Keras on JAX, compared with the same machine's CPU.

    python tests/benchmarks/gpu.py write SAMPLE.npz FEATURES LABELS   # where the packaged library is installed
    KERAS_BACKEND=jax python tests/benchmarks/gpu.py run SAMPLE.npz   # on the machine with the GPU

A machine with a GPU may have neither a network nor the library, so labelled stars travel as a file, in half precision:
good enough to compare times, and the errors of one recipe on both kinds of machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import typer
from xpfeh.labels.sample import SPECTRA, Sample, SampleOrigin

app = typer.Typer(add_completion=False)
SEARCH_STEPS, TRIALS = 3_000, 10
LIMIT = 120  # seconds of a measurement, since such machines are lent for minutes


@app.command()
def write(out: Path, features: Path, labels: Path, stars: int = 12_000) -> None:
    """Write some labelled stars of a features dataset to a file for `run`."""
    from xpfeh.columns import rows_of
    from xpfeh.commands.read_sample import read_sample

    sample = read_sample(features, labels)
    chosen = np.sort(np.random.default_rng(0).choice(len(sample), stars, replace=False))
    columns = rows_of(sample.columns, chosen)
    columns |= {name: columns[name].astype(np.float16) for name in SPECTRA}
    np.savez_compressed(out, origin=np.array(sample.origin.model_dump_json()), **columns)


def _read(path: Path) -> Sample:
    with np.load(path) as file:
        columns = {name: file[name] for name in file.files}
    origin = SampleOrigin.model_validate_json(str(columns.pop("origin")))
    columns |= {name: columns[name].astype(np.float32) for name in SPECTRA}
    return Sample(columns, origin)


@app.command()
def steps(sample: Path, count: int = 3_000) -> None:
    """Train one network of `best`; its steps a second leave out the first, before which it is compiled."""
    from xpfeh.inference.inputs import network_inputs
    from xpfeh.settings import recipe_named
    from xpfeh.training.fit import Trainer
    from xpfeh.training.train import roles_of

    stars = _read(sample)
    recipe = recipe_named("best").with_overrides([f"steps={count}"])
    columns = {**stars.columns, **network_inputs(stars.columns, recipe, stars.origin.preprocess)}
    begun = time.perf_counter()
    trainer = Trainer(columns, roles_of(columns, recipe), recipe)
    at: dict[int, float] = {}
    member = trainer.train(0, lambda member, step, _: at.update({step: time.perf_counter()}))
    first, *_, last = at
    rate = (last - first) / (at[last] - at[first])
    print(f"measured {rate:.0f} steps/s, {at[first] - begun:.1f} s before, MAE {member.validation_mae:.4f}")


@app.command()
def search(sample: Path, gpus: float = 0.0) -> None:
    """Search with Ray Tune: ten trials at a time, and an ensemble of ten networks."""
    from xpfeh.cluster.connection import Share
    from xpfeh.experiments.search import search

    stars, begun = _read(sample), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        share = Share(1.0, gpus)
        found = search([stars], "gpu", TRIALS, SEARCH_STEPS, folder, share, finalists=1, max_workers=TRIALS)
    seconds, winner = time.perf_counter() - begun, found.winner
    print(f"measured {seconds:.1f} s, {found.failed} failed, MAE {winner.mae:.4f} +- {winner.mae_error:.4f}")


@app.command()
def run(sample: Path) -> None:
    """Measure both, each in a process of its own, on the GPU and on the CPU."""
    for platform, command in (
        ("cuda", ["steps"]),
        ("cpu", ["steps"]),
        ("cuda", ["search", "--gpus", str(1 / TRIALS)]),
        ("cpu", ["search"]),
    ):
        with tempfile.TemporaryDirectory() as folder:
            mlflow = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
            done = subprocess.run(
                ["timeout", str(LIMIT), sys.executable, __file__, *command, str(sample)],
                env={**os.environ, **mlflow, "JAX_PLATFORMS": platform},
                capture_output=True,
                text=True,
            )
        kept = [line for line in done.stdout.splitlines() if line.startswith("measured")]
        print(platform, *command, *kept or [f"exit code {done.returncode}\n{done.stderr[-1000:]}"], flush=True)


if __name__ == "__main__":
    app()
