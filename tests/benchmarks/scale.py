"""`make bench`, second half: the batch path on Ray, by workers and by rows, compared with what one would write by hand.

Stars are made up from the library's (see `made_up_features`), for measuring alone. Needs about 4 GB on the disk of
the temporary folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from made_up_features import write_made_up_features, write_made_up_labels
from reconstructed import coefficients
from rich.console import Console
from rich.table import Table
from xpfeh.commands.labels import write_apogee
from xpfeh.commands.read_sample import read_sample
from xpfeh.settings import Recipe, recipe_named
from xpfeh.sources.library import NAME, library_path, read_spectra
from xpfeh.training.train import train

FEW, MANY = 400_000, 2_000_000
BASE, COEFFICIENTS, LABELS = 8_000, 240_000, (40_000, 120_000)
ONE_CORE = {"OMP_NUM_THREADS": "1"}

RATE = """
import os, sys, time
def rate(work, rows):
    work()
    begun = time.perf_counter()
    for _ in range(5):
        work()
    return 5 * rows / (time.perf_counter() - begun)
"""
PREDICTING = f"""{RATE}
core, features, bundle, out = sys.argv[1:]
os.sched_setaffinity(0, [int(core)])
import pyarrow.parquet as pq
from xpfeh.commands.catalog import make_work
from xpfeh.dataset.dataset import Dataset
from xpfeh.inference.bundle import pack
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.columns import to_arrays
dataset = Dataset.at(features)
stars = to_arrays(pq.read_table(dataset.part(dataset.plan.shards[0].name)))
predictor = Predictor(bundle)
print("measured", rate(lambda: estimate(stars, predictor), len(stars["source_id"])))
from xpfeh.commands.catalog import plan_catalog
plan = plan_catalog(features, bundle)
by_hand, work = Dataset.begin(out, plan), make_work(features, pack(bundle))
print("measured", rate(lambda: [by_hand.commit(shard, work(shard)) for shard in plan.shards[:4]],
           sum(shard.rows for shard in plan.shards[:4])))
"""
PREPROCESSING = f"""{RATE}
source, out = sys.argv[1:]
os.sched_setaffinity(0, [0])
from xpfeh.commands.ingest import make_work, plan_features
from xpfeh.dataset.dataset import Dataset
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import reader
from xpfeh.xp.preprocess import preprocess
settings = PreprocessSettings()
plan = plan_features([source], settings)
shard = plan.shards[0]
file = reader.open_spectra(shard.source)
stars = [batch.columns for batch in reader.read(file, shard.start, shard.rows, reader.NO_COMPANIONS)]
print("measured", rate(lambda: [preprocess(columns, settings) for columns in stars], shard.rows))
by_hand, work = Dataset.begin(out, plan), make_work(settings)
print("measured", rate(lambda: by_hand.commit(shard, work(shard)), shard.rows))
"""
RUN = """
import sys, time
import ray
from xpfeh.commands.catalog import make_catalog
from xpfeh.commands.ingest import ingest
from xpfeh.dataset.dataset import Dataset
from xpfeh.settings import PreprocessSettings
what, workers, source, bundle, out = sys.argv[1:]
ray.init(address="local", num_cpus=int(workers), include_dashboard=False, log_to_driver=False)
begun = time.perf_counter()
if what == "catalog":
    make_catalog(source, bundle, out)
else:
    ingest([source], out, PreprocessSettings())
wall = time.perf_counter() - begun
parts = sorted(Dataset.at(out).records(), key=lambda record: record.finished)
parts = parts[len(parts) // 4:]  # without what a worker loads and compiles first
took = (parts[-1].finished - parts[0].finished).total_seconds()
print("measured", wall, "measured", sum(part.rows_written for part in parts[1:]) / took if took else 0)
"""
LABELLED = """
import re, sys, tempfile, time
from xpfeh.commands.read_sample import read_sample
from xpfeh.settings import recipe_named
from xpfeh.training.train import train
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
begun = time.perf_counter()
sample = read_sample(sys.argv[1], sys.argv[2])
print("measured", time.perf_counter() - begun, "measured", peak())
at = {}
recipe = recipe_named("best").with_overrides(["steps=1500", "members=4", "folds=2"])
with tempfile.TemporaryDirectory() as folder:
    train(sample, recipe, folder, lambda member, step, _: at.update({(member, step): time.perf_counter()}))
print("measured", 1000 / (at[3, 1500] - at[3, 500]), "measured", peak())
print("measured", sum(values.nbytes for values in sample.columns.values()) / 2**20)
"""
MEMBERS = """
import sys, tempfile, time
import ray
from xpfeh.cluster.members import fit_on_workers
from xpfeh.commands.read_sample import read_sample
from xpfeh.settings import recipe_named
from xpfeh.training.fit import fit_members
from xpfeh.training.train import train
sample = read_sample(sys.argv[1], sys.argv[2])
recipe = recipe_named("best").with_overrides(["steps=1600"])
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
versions = []
for fit in (fit_members, fit_on_workers(1), fit_on_workers(2)):
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        versions.append(train(sample, recipe, folder, fit=fit).version)
    print("measured", time.perf_counter() - begun)
assert len(set(versions)) == 1, versions
"""
BY_HAND = """
import os, sys, time
os.sched_setaffinity(0, {0})
import gaiaxpy, numpy as np, pandas as pd, pyarrow.parquet as pq
from xpfeh.inference.predictor import Predictor
from xpfeh.sources.library import NAME, library_path, read_spectra
from xpfeh.xp.preprocess import preprocess
from xpfeh.settings import PreprocessSettings
path, bundle, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
predictor, batch = Predictor(bundle), 400
frame = pq.read_table(path).slice(0, n).to_pandas()
other = read_spectra(library_path(NAME), 0, n)
for band in ("bp", "rp"):
    frame[f"{band}_n_parameters"], frame[f"{band}_standard_deviation"] = 55, 1.0
    frame[f"{band}_n_relevant_bases"] = 55
def work(start):
    sampled, _ = gaiaxpy.calibrate(frame.iloc[start:start + batch].copy(), save_file=False)
    rows = slice(start, start + len(sampled))
    stars = {name: values[rows] for name, values in other.items()}
    stars["flux"], stars["flux_error"] = np.stack(sampled["flux"]), np.stack(sampled["flux_error"])
    return predictor.predict(preprocess(stars, PreprocessSettings()))
work(0)
begun = time.perf_counter()
for start in range(0, n, batch):
    work(start)
print("measured", n / (time.perf_counter() - begun))
"""


def script(text: str, *arguments: object) -> list[float]:
    """Run a script in a process of its own and return what it prints as measured."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    done = subprocess.run(command, env=_environment(ONE_CORE), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return _measured(done.stdout)


def _measured(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"measured (\S+)", output)]


class Run(NamedTuple):
    """Seconds of a batch job, its stars a second after its first quarter, and the peak memory of a worker in MB."""

    seconds: float
    rate: float
    peak: float


def on_ray(what: str, workers: int, source: Path, bundle: Path, folder: Path) -> Run:
    """Run a batch job with a number of workers, twice, and return the faster run."""
    os.sync()
    return max((_once(what, workers, source, bundle, folder) for _ in range(2)), key=lambda run: run.rate)


def _once(what: str, workers: int, source: Path, bundle: Path, folder: Path) -> Run:
    out = tempfile.mkdtemp(dir=folder)
    command = [sys.executable, "-c", RUN, what, str(workers), str(source), str(bundle), out]
    process = psutil.Popen(command, env=_environment({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for member in process.children(recursive=True):
            _remember_peak(member, peaks)
        time.sleep(0.2)
    if process.returncode:
        raise RuntimeError(f"{what} with {workers} workers failed")
    shutil.rmtree(out)
    return Run(*_measured(process.stdout.read()), max(peaks.values()) / 1024)


def _remember_peak(member: psutil.Process, peaks: dict[int, int]) -> None:
    try:
        status = Path(f"/proc/{member.pid}/status").read_text()
        if "MapWorker" in " ".join(member.cmdline()):
            peaks[member.pid] = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    except (OSError, TypeError, psutil.NoSuchProcess):
        return


def _environment(variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | variables


def catalogs(rows: Table, folder: Path, bundle: Path, name: str) -> float:
    """Catalog from features, with one network or five; return the stars a second of one worker on Ray."""

    def alone(core: int) -> list[float]:
        return script(PREDICTING, core, folder / "few", bundle, folder / f"{name}-alone-{core}")

    kernel, by_hand = alone(0)
    with ThreadPoolExecutor() as threads:
        both = [sum(rates) for rates in zip(*threads.map(alone, (0, 1)), strict=True)]
    one, two = (on_ray("catalog", workers, folder / "many", bundle, folder) for workers in (1, 2))
    few = on_ray("catalog", 2, folder / "few", bundle, folder)
    sizes = f"{FEW:,} and {MANY:,} stars"
    for row in (
        (f"{name}: predicting in memory, one core", f"{kernel:,.0f}", f"two at once {both[0] / kernel:.2f} x"),
        ("  and reading, writing, checking; without Ray", f"{by_hand:,.0f}",
         f"{by_hand / kernel:.0%}; two at once {both[1] / by_hand:.2f} x"),
        ("  on Ray, one worker", f"{one.rate:,.0f}", f"{one.rate / kernel:.0%} and {one.rate / by_hand:.0%} of these"),
        ("  on Ray, two workers", f"{two.rate:,.0f}", f"{two.rate / one.rate:.2f} x one"),
        (f"  seconds, {sizes}", f"{few.seconds:.1f}, {two.seconds:.1f}", f"{two.seconds / few.seconds:.1f} x"),
        ("  peak memory of a worker, MB", f"{few.peak:,.0f}, {two.peak:,.0f}", f"{two.peak / few.peak:.2f} x"),
    ):  # fmt: skip
        rows.add_row(*row)
    return one.rate


def from_coefficients(rows: Table, folder: Path, bundle: Path, predicting: float) -> None:
    """Features from coefficients on Ray, and the way to [Fe/H] compared with calibrating and predicting in a loop."""
    ids, columns = coefficients(read_spectra(library_path(NAME), 0, BASE))
    table = {name: pa.array(list(values)) for name, values in columns.items()}
    source = folder / "coefficients"
    source.mkdir()
    for turn in range(COEFFICIENTS // BASE):
        pq.write_table(pa.table({"source_id": ids + turn, **table}), source / f"{turn:02d}.parquet")
    (theirs,) = script(BY_HAND, source / "00.parquet", bundle, 2000)
    kernel, by_hand = script(PREPROCESSING, source, folder / "features-alone")
    one, two = (on_ray("features", workers, source, bundle, folder) for workers in (1, 2))
    ours = 1 / (1 / one.rate + 1 / predicting)
    for row in (
        ("features from coefficients in memory, one core", f"{kernel:,.0f}", ""),
        ("  and reading Parquet, writing, checking; without Ray", f"{by_hand:,.0f}", f"{by_hand / kernel:.0%}"),
        ("  on Ray, one worker", f"{one.rate:,.0f}", f"{one.rate / kernel:.0%} and {one.rate / by_hand:.0%} of these"),
        ("  on Ray, two workers", f"{two.rate:,.0f}", f"{two.rate / one.rate:.2f} x one"),
        ("  coefficients to [Fe/H] by both, one worker", f"{ours:,.0f}",
         f"gaiaxpy.calibrate in a loop, then predict {theirs:,.0f}: {ours / theirs:.1f} x"),
    ):  # fmt: skip
        rows.add_row(*row)


def labelled(rows: Table, folder: Path) -> None:
    """The labelled stars of many: reading and training, by their number."""
    found = []
    for number in LABELS:
        labels = folder / f"labels-{number}.parquet"
        write_made_up_labels(labels, folder / "labels.parquet", MANY, number)
        took, reading, steps, training, size = script(LABELLED, folder / "many", labels)
        found.append((reading, training, size))
        rows.add_row(f"{number:,} labelled stars out of {MANY:,}: rows read", f"{number / took:,.0f}", f"{took:.1f} s")
        rows.add_row("  training four networks of `best` on them", "", f"{steps:,.0f} steps/s, one core")
        rows.add_row("  peak memory of both, MB", "", f"{reading:,.0f}, {training:,.0f}; the rows {size:,.0f}")
    grown = [b - a for a, b in zip(*found, strict=True)]
    per_byte = f"{grown[0] / grown[2]:.2f}, {grown[1] / grown[2]:.2f}"
    rows.add_row("  bytes of memory for each further byte of labelled rows", "", per_byte)


def members(rows: Table, folder: Path) -> None:
    """The ensemble: in this process, on one worker, on two."""
    here, one, two = script(MEMBERS, folder / "library", folder / "labels.parquet")
    rows.add_row("training the ten networks of `best`, 1,600 steps: one process", "", f"{here:.1f} s")
    rows.add_row("  on Ray, one and two workers, the same bytes", "", f"{one:.1f} s and {two:.1f} s: {one / two:.2f} x")


def main() -> None:
    console = Console(width=130)
    rows = Table("batch on Ray", "stars/s", "", title="make bench: the catalog (made-up stars)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script("from xpfeh.cli.main import main; main()", "ingest", NAME, "--out", folder / "library")
        write_apogee(NAME, folder / "labels.parquet")
        sample = read_sample(folder / "library", folder / "labels.parquet")
        train(sample, Recipe(steps=2000), folder / "one")
        train(sample, recipe_named("best").with_overrides(["steps=2000"]), folder / "best")
        write_made_up_features(folder / "few", FEW)
        write_made_up_features(folder / "many", MANY)
        labelled(rows, folder)
        members(rows, folder)
        predicting = catalogs(rows, folder, folder / "best", "`best`, ten networks")
        catalogs(rows, folder, folder / "one", "`paper`, one network")
        from_coefficients(rows, folder, folder / "best", predicting)
    console.print(rows)


if __name__ == "__main__":
    main()
