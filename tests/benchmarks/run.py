"""`make bench`: how fast, side by side with the usual way, in one run on one core.

Every line is a measurement of this run on this machine; ratios are what carries over to another.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gaiaxpy
import numpy as np
import pandas as pd
import ray
from reconstructed import coefficients, write_bulk, write_real_text
from rich.console import Console
from rich.progress import track
from rich.table import Table
from xpfeh.commands.ingest import ingest
from xpfeh.commands.labels import write_apogee
from xpfeh.commands.read_sample import read_sample
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.search import search
from xpfeh.inference.bundle import MODEL, PRETRAINED_FOLDER
from xpfeh.inference.calibration import Calibration
from xpfeh.inference.domain import domain_of
from xpfeh.inference.edges import Edges
from xpfeh.inference.graph import Graph
from xpfeh.inference.stretch import UNSTRETCHED
from xpfeh.settings import RECIPES, PreprocessSettings, Recipe
from xpfeh.sources.library import NAME, library_path, read_spectra
from xpfeh.training import adam
from xpfeh.training.backend import keras
from xpfeh.training.batches import STRETCH
from xpfeh.training.export import TrainedModel, files_of
from xpfeh.training.fit import Roles, Trainer
from xpfeh.training.network import build_network
from xpfeh.xp.bases import BANDS
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.pixels import rebin
from xpfeh.xp.preprocess import preprocess

STARS, BATCH = 1012, 512
UNCALIBRATED = Calibration(
    low=(0.0,) * 5,
    high=(0.0,) * 5,
    intercepts=(-1.96, -0.9945, 0.9945, 1.96),
    slopes=((0.0,) * 5,) * 4,
    dust_error=0.0,
)


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the best of some timings, after one run to warm up."""
    work()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def plain_keras() -> keras.Model:
    """The paper's network as one would write it in Keras."""
    flux, error = keras.Input((60,)), keras.Input((60,))
    dense = keras.layers.Dense
    x = flux
    for width in (256, 64, 16):
        x = dense(width, "relu", kernel_regularizer=keras.regularizers.L2(1e-5))(x)
    mean = dense(1)(dense(8, "relu")(x))
    e = keras.layers.Concatenate()([x, dense(16, "relu")(error)])
    sigma = dense(1, "softplus")(dense(8, "relu")(e))
    return keras.Model([flux, error], keras.layers.Concatenate()([mean, sigma]))


def likelihood(truth: object, predicted: object) -> object:
    mean, sigma = predicted[:, :1], keras.ops.maximum(predicted[:, 1:], 0.02)
    return keras.ops.square(truth - mean) / (2 * keras.ops.square(sigma)) + keras.ops.log(sigma)


def training(rows: Table) -> None:
    rng = np.random.default_rng(0)
    flux, error = (rng.uniform(0.1, 1, (STARS, 60)).astype(np.float32) for _ in range(2))
    stars = {
        "flux": flux,
        "flux_error": error,
        "ebv": rng.uniform(0, 0.2, STARS),
        "feh": rng.normal(-1, 0.5, STARS),
        "feh_err": np.full(STARS, 0.05),
        "bp_rp0": rng.uniform(0.7, 1.9, STARS),
    }
    recipe = Recipe(batch_size=BATCH)
    every = np.ones((1, STARS), dtype=bool)
    trainer = Trainer(stars, Roles(every, every), recipe)
    state = adam.initial_state(trainer._draw(0, 0))
    ours = seconds(lambda: trainer._advance(0, state, 0, STRETCH, np.random.default_rng(0))) / STRETCH
    model = plain_keras()
    model.compile("adam", loss=likelihood)
    epochs = 100
    fit = seconds(lambda: model.fit([flux, error], stars["feh"], batch_size=BATCH, epochs=epochs, verbose=0), 2)
    theirs = fit / (epochs * -(-STARS // BATCH))
    rows.add_row(
        "training, steps/s (1,012 stars, batch 512)",
        f"{1 / ours:,.0f}",
        f"keras.Model.fit {1 / theirs:,.0f}",
        f"{theirs / ours:.1f} x",
    )


def inference(rows: Table) -> None:
    rng = np.random.default_rng(0)
    plain, n = plain_keras(), 200_000
    flux, error = (rng.uniform(0.1, 1, (n, 60)).astype(np.float32) for _ in range(2))
    theirs = n / seconds(lambda: plain.predict([flux, error], batch_size=4096, verbose=0))
    paper, best = RECIPES["paper"], RECIPES["best"]
    shipped = (PRETRAINED_FOLDER / MODEL).read_bytes()
    for recipe, content, n in ((paper, _graph(paper), 100_000), (best, shipped, 20_000)):
        samples, error = (rng.uniform(0.1, 1, (n, 343)).astype(np.float32) for _ in range(2))
        features = {"flux": samples, "flux_error": error, "ebv": rng.uniform(0, 0.2, n)}
        ours = n / seconds(partial(_predicted, Graph(content), features, recipe))
        rows.add_row(
            f"predicting from features, {recipe.name}: {recipe.members} networks, stars/s",
            f"{ours:,.0f}",
            f"keras.Model.predict, the paper's network {theirs:,.0f}",
            f"{ours / theirs:.2f} x",
        )


def _graph(recipe: Recipe) -> bytes:
    """Return the graph of networks that have learned nothing, which takes as long."""
    rng = np.random.default_rng(0)
    flux, flux_error = (rng.uniform(0.1, 1, (1000, recipe.n_pixels)).astype(np.float32) for _ in range(2))
    network = build_network(recipe, 0)
    network.adapt([flux], [flux_error], [rng.uniform(0, 0.2, 1000)])
    edges = Edges(low=-3.0, high=0.5)
    return files_of(TrainedModel(network, UNSTRETCHED, UNCALIBRATED, None, domain_of(flux), edges))[MODEL]


def _predicted(graph: Graph, features: dict[str, np.ndarray], recipe: Recipe) -> None:
    flux, flux_error = rebin(features["flux"], features["flux_error"], recipe.n_pixels)
    graph({"flux": flux, "flux_error": flux_error, "ebv": features["ebv"]})


def starts(rows: Table) -> None:
    """Whole processes, from the shell's prompt to the next."""
    with tempfile.TemporaryDirectory() as folder:
        thirty, many = Path(folder) / "thirty.csv", Path(folder) / "many.csv"
        gaiaxpys = "import sys, gaiaxpy; gaiaxpy.calibrate(sys.argv[1], save_file=False)"
        write_real_text(thirty, 30)
        write_real_text(many, 12_000)
        help_s, _ = _process("xpfeh", "--help")
        rows.add_row("xpfeh --help, s", f"{help_s:.2f}", "", "")
        out = str(Path(folder) / "out.parquet")
        ours, memory = _process("xpfeh", "predict", str(thirty), "--out", out)
        theirs, their_memory = _process("python", "-c", gaiaxpys, str(thirty))
        rows.add_row("xpfeh predict of 30 stars (Gaia's CSV), s; MB", f"{ours:.2f}; {memory:.0f}",
                     f"gaiaxpy.calibrate alone {theirs:.2f}; {their_memory:.0f}", f"{theirs / ours:.1f} x")  # fmt: skip
        size = many.stat().st_size / 12_000 / 1e3
        ours, memory = _process("xpfeh", "spectra", str(many), "--stage", "features", "--out", out)
        theirs, their_memory = _process("python", "-c", gaiaxpys, str(many))
        rows.add_row(f"12,000 stars of Gaia's CSV ({size:.0f} kB each) to features, s; MB", f"{ours:.1f}; {memory:.0f}",
                     f"gaiaxpy.calibrate alone {theirs:.1f}; {their_memory:.0f}", f"{theirs / ours:.1f} x")  # fmt: skip
        ours, memory = _process("xpfeh", "predict", str(many), "--out", out)
        rows.add_row("the same to [Fe/H], s; MB", f"{ours:.1f}; {memory:.0f}", "", "")


def _process(program: str, *arguments: str) -> tuple[float, float]:
    """Return the best of three times (s) of a process on all cores, and the memory it took at most (MB).

    A small process starts it: the peak that the kernel reports begins with that of the parent.
    """
    watch = (
        "import os, subprocess, sys, time; os.sched_setaffinity(0, range(os.cpu_count())); begun = time.perf_counter();"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        "_, status, usage = os.wait4(child.pid, 0); took = time.perf_counter() - begun;"
        "print(status, took, usage.ru_maxrss / 1024)"
    )
    command, found = [str(Path(sys.executable).parent / program), *arguments], []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, text=True, check=True)
        status, took, peak = done.stdout.split()
        assert status == "0", command
        found.append((float(took), float(peak)))
    return min(found)


def preprocessing(rows: Table) -> None:
    stars = read_spectra(library_path(NAME), 0, 5000)
    ours = 5000 / seconds(lambda: preprocess(stars, PreprocessSettings()))
    rows.add_row("sampled spectra to features, stars/s", f"{ours:,.0f}", "", "")


def calibration(rows: Table) -> None:
    ids, columns = coefficients(read_spectra(library_path(NAME), 0, 1000))
    big = {name: np.tile(values, (4, 1)) for name, values in columns.items()}
    ours = 4000 / seconds(lambda: calibrate(big, "dr3"))
    lists = {name: list(values[:400]) for name, values in columns.items()}
    frame = pd.DataFrame({"source_id": ids[:400], **lists})
    for band in BANDS:
        frame[f"{band}_standard_deviation"], frame[f"{band}_n_parameters"], frame[f"{band}_n_relevant_bases"] = (
            1.0,
            55,
            55,
        )
    theirs = 400 / seconds(lambda: _quiet(lambda: gaiaxpy.calibrate(frame.copy(), save_file=False)), 2)
    rows.add_row(
        "calibrating coefficients in memory, stars/s",
        f"{ours:,.0f}",
        f"gaiaxpy.calibrate {theirs:,.0f}",
        f"{ours / theirs:.1f} x",
    )


def from_files(rows: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        few, bulk, plain = Path(folder) / "few.csv.gz", Path(folder) / "bulk.csv.gz", Path(folder) / "bulk.csv"
        write_bulk(few, 240)
        write_bulk(bulk, 12_000)
        start, took, _ = _features_apart(few, bulk)
        ours = 12_000 / took
        begun = time.perf_counter()
        with gzip.open(bulk) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file)
        unpacked = time.perf_counter()
        _quiet(lambda: gaiaxpy.calibrate(str(plain), save_file=False))
        theirs, alone = (12_000 / (time.perf_counter() - moment) for moment in (begun, unpacked))
        rows.add_row(
            "bulk ECSV.gz to features on disk, stars/s", f"{ours:,.0f}",
            f"gaiaxpy.calibrate(file) {alone:,.0f}, gunzip first {theirs:,.0f}",
            f"{ours / alone:.1f} x, {ours / theirs:.1f} x",
        )  # fmt: skip
        rows.add_row("start of that, once a process (bases, dust map), s", f"{start:.1f}", "", "")
        write_bulk(bulk, 50_000)
        with gzip.open(bulk) as packed:
            size = packed.seek(0, io.SEEK_END)
        *_, peak = _features_apart(few, bulk)
        rows.add_row(f"peak memory for {size / 1e9:.1f} GB of text, MB", f"{peak:,.0f}", "", "")


def _features_apart(few: Path, bulk: Path) -> list[float]:
    """Seconds for a few stars and for many, and peak memory (MB), of a process that turns them into features.

    The few come first and pay for what each side loads once, as GaiaXPy has by now in this process.
    """
    script = (
        "import re, sys, time; from xpfeh.commands.spectra import Stage, write_spectra;"
        "from xpfeh.sources.reader import CompanionFiles; from xpfeh.settings import PreprocessSettings;"
        "settings, companions = PreprocessSettings(), CompanionFiles();"
        "work = lambda path: write_spectra(path, path + '.parquet', Stage.FEATURES, settings, companions);"
        "t0 = time.perf_counter(); work(sys.argv[1]); t1 = time.perf_counter(); work(sys.argv[2]);"
        "t2 = time.perf_counter(); status = open('/proc/self/status').read();"
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 1024;"
        "sys.stderr.write(f'{t1 - t0} {t2 - t1} {peak}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(few), str(bulk)], capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stderr.split()[-3:]]


def trials(rows: Table) -> None:
    """What a trial of a search costs besides its training: start, data, recording, teardown; one at a time."""
    few, many = 2, 6
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        features, labels = f"{folder}/features", Path(folder) / "labels.parquet"
        ingest([NAME], features, PreprocessSettings())
        write_apogee(NAME, labels)
        sample = read_sample(features, labels)
        took = {}
        for count in (1, few, many):
            begun = time.perf_counter()
            winner = search([sample], f"of-{count}", count, 500, f"{folder}/searches", finalists=1).winner
            ensemble = mlflow_runs.get(winner.run_id).data.metrics["seconds"]  # other recipes, other times
            took[count] = time.perf_counter() - begun - ensemble
        where = f"tags.search = 'of-{many}'"
        runs = mlflow_runs.client().search_runs([mlflow_runs.experiment_id()], where)
        trained = [run.data.metrics["seconds"] for run in runs]
    each, training = (took[many] - took[few]) / (many - few), sum(trained) / len(trained)
    rows.add_row("a trial of 500 steps, s", f"{each:.1f}", f"training and calibrating {training:.1f}",
                 f"{each - training:.1f} overhead")  # fmt: skip


def _quiet(work: Callable[[], object]) -> object:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return work()


def main() -> None:
    if len(os.sched_getaffinity(0)) > 1:
        sys.exit("make bench keeps this to one core, by taskset: so must you")
    rows = Table("one core", "xpfeh", "the usual way", "ratio", title="make bench")
    measures = (starts, calibration, from_files, preprocessing, training, inference, trials)
    for measure in track(measures, description="bench"):
        measure(rows)
    Console(width=130).print(rows)


if __name__ == "__main__":
    main()
