"""`make bench`, second half: the batch path on Ray, by workers and by rows, beside what one would write by hand.

Stars are MADE of the library's (see `made`), for measuring alone. Needs about 4 GB on the disk of the temporary folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from made import write_made_features
from reconstructed import coefficients
from rich.console import Console
from rich.table import Table
from xpfeh.labels.build import write_apogee
from xpfeh.labels.catalogs import read_labels
from xpfeh.labels.samples import labelled_sample
from xpfeh.model.train import train
from xpfeh.settings import Recipe, recipe_named
from xpfeh.sources.apogee_library import NAME, library_path, read_spectra

FEW, MANY = 400_000, 4_000_000
COEFFICIENTS = 20_000
ONE_CORE = {"OMP_NUM_THREADS": "1"}

KERNEL = """
import os, sys, time
os.sched_setaffinity(0, {0})
import pyarrow.parquet as pq
from xpfeh.batch.catalog import make_work
from xpfeh.batch.ledger import Ledger
from xpfeh.model.bundle import packed
from xpfeh.model.estimate import estimate
from xpfeh.model.predictor import Predictor
from xpfeh.sources.schema import to_arrays
features, bundle, out = sys.argv[1:]
ledger = Ledger.at(features)
stars = to_arrays(pq.read_table(ledger.part(ledger.plan.shards[0])))
predictor = Predictor.load(bundle)
def rate(work, rows):
    work()
    begun = time.perf_counter()
    work()
    return rows / (time.perf_counter() - begun)
print(rate(lambda: estimate(stars, predictor), len(stars["source_id"])))
from xpfeh.batch.catalog import plan_catalog
plan = plan_catalog(features, bundle)
by_hand, work = Ledger.open(out, plan), make_work(features, packed(bundle))
print(rate(lambda: [by_hand.commit(shard, work(shard)) for shard in plan.shards[:4]],
           sum(shard.rows for shard in plan.shards[:4])))
"""
RUN = """
import sys, time
import ray
from xpfeh.batch.catalog import make_catalog
from xpfeh.batch.ingest import ingest
from xpfeh.batch.status import status
from xpfeh.settings import PreprocessSettings
what, workers, source, bundle, out = sys.argv[1:]
ray.init(address="local", num_cpus=int(workers), include_dashboard=False, log_to_driver=False)
begun = time.perf_counter()
if what == "catalog":
    make_catalog(source, bundle, out)
else:
    ingest([source], out, PreprocessSettings())
wall = time.perf_counter() - begun
print(status(out).rate, wall)
"""
BY_HAND = """
import os, sys, time
os.sched_setaffinity(0, {0})
import gaiaxpy, numpy as np, pandas as pd, pyarrow.parquet as pq
from xpfeh.model.predictor import Predictor
from xpfeh.sources.apogee_library import NAME, library_path, read_spectra
from xpfeh.xp.preprocess import preprocess
from xpfeh.settings import PreprocessSettings
path, bundle, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
predictor, batch = Predictor.load(bundle), 400
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
sys.stderr.write(f"{n / (time.perf_counter() - begun)}")
"""


def script(text: str, *arguments: object) -> list[float]:
    """Run a script in a process of its own and return the numbers that it prints last."""
    done = subprocess.run([sys.executable, "-c", text, *map(str, arguments)], env=_environment(ONE_CORE),
                          capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [float(word) for word in (done.stdout or done.stderr).split()[-2:] if re.fullmatch(r"[\d.e+]+", word)]


def on_ray(what: str, workers: int, source: Path, bundle: Path, out: Path) -> dict[str, float]:
    """Run a batch job with so many workers; return stars/s of the run, its wall time, and peak memory in MB."""
    command = [sys.executable, "-c", RUN, what, str(workers), str(source), str(bundle), str(out)]
    process = psutil.Popen(command, env=_environment({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for member in process.children(recursive=True):
            _remember_peak(member, peaks)
        time.sleep(0.2)
    if process.returncode:
        raise RuntimeError(f"{what} with {workers} workers failed")
    rate, wall = map(float, process.stdout.read().split()[-2:])
    return {"rate": rate, "wall": wall, "peak": max(peaks.values()) / 1024}


def _remember_peak(member: psutil.Process, peaks: dict[int, int]) -> None:
    try:
        told = Path(f"/proc/{member.pid}/status").read_text()
        if "MapWorker" in " ".join(member.cmdline()):
            peaks[member.pid] = int(re.search(r"VmHWM:\s+(\d+)", told)[1])
    except (OSError, TypeError, psutil.NoSuchProcess):
        return


def _environment(variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | variables


def catalogs(rows: Table, folder: Path, bundle: Path, name: str) -> None:
    """Catalog from features, with one network or five."""
    few, many = folder / "few", folder / "many"
    kernel, alone = script(KERNEL, few, bundle, folder / f"{name}-alone")
    one = on_ray("catalog", 1, many, bundle, folder / f"{name}-1")
    two = on_ray("catalog", 2, many, bundle, folder / f"{name}-2")
    small = on_ray("catalog", 2, few, bundle, folder / f"{name}-few")
    shares = f"{one['rate'] / kernel:.0%} of predicting, {one['rate'] / alone:.0%} of the work without Ray"
    both, peaks, walls = f"{FEW:,} and {MANY:,} stars", (small["peak"], two["peak"]), (small["wall"], two["wall"])
    for told in (
        (f"{name}: predicting in memory, one core", f"{kernel:,.0f}", ""),
        ("  reading, predicting, writing, checking; without Ray", f"{alone:,.0f}", f"{alone / kernel:.0%}"),
        (f"  on Ray, one worker, {MANY:,} stars", f"{one['rate']:,.0f}", shares),
        ("  on Ray, two workers", f"{two['rate']:,.0f}", f"{two['rate'] / one['rate']:.2f} x one"),
        (f"  peak memory of a worker, MB, {both}", f"{peaks[0]:,.0f}, {peaks[1]:,.0f}", f"{peaks[1] / peaks[0]:.2f} x"),
        (f"  seconds, {both}", f"{walls[0]:.1f}, {walls[1]:.1f}", f"{walls[1] / walls[0]:.1f} x"),
    ):
        rows.add_row(*told)


def from_coefficients(rows: Table, folder: Path, bundle: Path) -> None:
    """Features from coefficients on Ray, and the way to [Fe/H] beside calibrating and predicting in a loop."""
    path = folder / "coefficients.parquet"
    ids, columns = coefficients(read_spectra(library_path(NAME), 0, COEFFICIENTS // 5))
    table = {name: pa.array(list(np.tile(values, (5, 1)))) for name, values in columns.items()}
    every = np.concatenate([ids + turn for turn in range(5)])
    pq.write_table(pa.table({"source_id": every, **table}), path, row_group_size=COEFFICIENTS // 8)
    parts = folder / "coefficients"
    parts.mkdir()
    whole = pq.ParquetFile(path)
    for group in range(whole.num_row_groups):
        pq.write_table(whole.read_row_group(group), parts / f"{group}.parquet")
    (theirs,) = script(BY_HAND, path, bundle, 2000)
    one = on_ray("features", 1, parts, bundle, folder / "features-1")
    two = on_ray("features", 2, parts, bundle, folder / "features-2")
    rows.add_row(f"features from Parquet coefficients on Ray, one worker, {COEFFICIENTS:,} stars",
                 f"{one['rate']:,.0f}", "")  # fmt: skip
    rows.add_row("  two workers", f"{two['rate']:,.0f}", f"{two['rate'] / one['rate']:.2f} x one")
    catalog = on_ray("catalog", 1, folder / "features-1", bundle, folder / "catalog-1")
    ours = 1 / (1 / one["rate"] + 1 / catalog["rate"])
    rows.add_row("  coefficients to [Fe/H] by both, one worker", f"{ours:,.0f}",
                 f"gaiaxpy.calibrate in a loop, then predict {theirs:,.0f}: {ours / theirs:.1f} x")  # fmt: skip


def main() -> None:
    console = Console(width=130)
    rows = Table("batch on Ray", "stars/s", "", title="make bench: the catalog (made-up stars)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script("from xpfeh.cli import main; main()", "ingest", NAME, "--out", folder / "library")
        write_apogee(NAME, folder / "labels.parquet")
        sample = labelled_sample(folder / "library", read_labels(folder / "labels.parquet"))
        train(sample, Recipe(steps=2000), folder / "one")
        train(sample, recipe_named("best").with_overrides(["steps=2000"]), folder / "five")
        write_made_features(folder / "few", FEW)
        write_made_features(folder / "many", MANY)
        catalogs(rows, folder, folder / "five", "champion's five networks")
        catalogs(rows, folder, folder / "one", "the paper's network")
        from_coefficients(rows, folder, folder / "five")
    console.print(rows)


if __name__ == "__main__":
    main()
