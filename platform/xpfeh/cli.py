"""The command line: each command is a few lines on the package. `xpfeh --help` reads like a tour."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from xpfeh import __version__
from xpfeh.cli_fetch import fetch
from xpfeh.errors import UserError
from xpfeh.labels.samples import SALT
from xpfeh.settings import PreprocessSettings, recipe_named

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
console = Console()

app.add_typer(fetch, name="fetch")

Features = Annotated[str, typer.Option(help="Features that `xpfeh ingest` wrote: a folder or s3:// URI.")]
LabelsFile = Annotated[
    Path, typer.Option(help="Table with source_id, feh and perhaps feh_err, logg (Parquet, CSV, FITS).")
]
Model = Annotated[str, typer.Option(help="A bundle's folder, or models:/xpfeh@champion.")]
SOURCE_HELP = "apogee-library, or a FITS file of its layout; Gaia XP files: a file, folder, glob or s3:// URI."
Photometry = Annotated[list[str], typer.Option(help="gaia_source columns of Gaia XP files; may be repeated.")]
Distances = Annotated[list[str], typer.Option(help="Bailer-Jones r_med_geo or rgeo; may be repeated.")]
Set = Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; may be repeated.")]


@app.callback(invoke_without_command=True)
def tour(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """[Fe/H] of giant stars, with errors that are true, from Gaia XP spectra.

    The way through: **ingest** spectra to features, **train** a model or **tune** many, **compare** them,
    **promote** the best, make a **catalog** of all stars, and **serve** it to others.
    **demo** walks it all with real spectra, in minutes.
    """
    if version:
        console.print(f"xpfeh {__version__}")


@app.command()
def ingest(
    source: Annotated[list[str], typer.Argument(help=SOURCE_HELP)],
    out: Annotated[str, typer.Option(help="Folder or URI of the features.")],
    photometry: Photometry = [],
    distances: Distances = [],
    settings: Set = [],
) -> None:
    """Spectra to features: dereddened, 60 pixels, with colours, dust and flags. Run again to resume."""
    from xpfeh.batch.ingest import ingest
    from xpfeh.sources.reader import Beside

    beside = Beside(tuple(photometry), tuple(distances))
    records = ingest(source, out, PreprocessSettings().with_overrides(settings), beside)
    _tell_rows(out, records)


@app.command()
def labels(
    kind: Annotated[str, typer.Argument(help="apogee (of the library), pastel or saga.")],
    table: Annotated[str, typer.Argument(help="The library, or the compilation's table.")],
    out: Annotated[Path, typer.Option(help="Labels to write (Parquet).")],
    gaia: Annotated[
        Path | None, typer.Option(help="Gaia stars to match with: source_id, ra, dec, pmra, pmdec.")
    ] = None,
    without: Annotated[Path | None, typer.Option(help="Labels whose stars are left out, for a test sample.")] = None,
) -> None:
    """True [Fe/H] from APOGEE, PASTEL or SAGA, cross-matched with Gaia."""
    from xpfeh.labels.build import write_apogee, write_labels

    if kind == "apogee":
        console.print(f"{write_apogee(table, out)} labels: {out}")
        return
    if gaia is None:
        raise UserError(f"labels of {kind} need --gaia, a table of Gaia stars to match with")
    _tell_cuts(write_labels(kind, table, gaia, out, without))
    console.print(f"labels: {out}", soft_wrap=True)


@app.command()
def spectra(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .fits.")],
    stage: Annotated[
        str, typer.Option(help="calibrated (as gaiaxpy.calibrate), corrected, dereddened, features.")
    ] = "calibrated",
    photometry: Photometry = [],
    distances: Distances = [],
    settings: Set = [],
) -> None:
    """Spectra as a file: absolute flux and error at 343 wavelengths, on this machine alone."""
    from xpfeh.sources.reader import Beside
    from xpfeh.sources.spectra_file import Stage, write_spectra

    if stage not in list(Stage):
        raise UserError(f"--stage {stage}: there are {', '.join(Stage)}")
    chosen = PreprocessSettings().with_overrides(settings)
    written, rejected = write_spectra(source, out, Stage(stage), chosen, Beside(tuple(photometry), tuple(distances)))
    console.print(f"{written} spectra written, {rejected} rows rejected: {out}")


@app.command()
def train(
    features: Features,
    labels: LabelsFile,
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    recipe: Annotated[str, typer.Option(help="paper: UA-CSNet as published; best: what measures best.")] = "paper",
    salt: Annotated[str, typer.Option(help="Names the split of the sky; another one holds out other stars.")] = SALT,
    settings: Set = [],
) -> None:
    """Train one model and record it in MLflow."""
    from xpfeh.experiments.record import train_and_record
    from xpfeh.labels.catalogs import read_labels
    from xpfeh.labels.samples import labelled_sample

    chosen = recipe_named(recipe).with_overrides(settings)
    sample = labelled_sample(features, read_labels(labels), salt)
    _tell_cuts(sample.origin["stars_left"])
    run_id, card = train_and_record(sample, chosen, out)
    numbers = card["validation"]
    console.print(
        f"{card['version']}: validation MAE {numbers['mae']:.3f}, robust sigma {numbers['robust_sigma']:.3f} dex"
    )
    console.print(f"run {run_id}: {out}", soft_wrap=True)


@app.command()
def tune(
    features: Features,
    labels: LabelsFile,
    trials: Annotated[int, typer.Option(min=1, help="Trials to run.")] = 20,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of a trial.")] = 10_000,
    gpus_per_trial: Annotated[float, typer.Option(min=0, help="Share of a GPU a trial gets.")] = 0.0,
    name: Annotated[str, typer.Option(help="Name of a new search.")] = "search",
    resume: Annotated[str | None, typer.Option(metavar="NAME", help="Go on with this search.")] = None,
    storage: Annotated[str, typer.Option(help="Folder or URI for the state of searches.")] = "searches",
) -> None:
    """Search hyperparameters with Ray Tune; every trial is a run in MLflow."""
    from xpfeh.experiments.search import search
    from xpfeh.labels.catalogs import read_labels
    from xpfeh.labels.samples import labelled_sample

    sample = labelled_sample(features, read_labels(labels))
    _tell_cuts(sample.origin["stars_left"])
    best = search(sample, resume or name, trials, steps, storage, gpus_per_trial, resume is not None)
    console.print(f"best of {best['trials']}: validation MAE {best['validation_mae']:.3f} dex, run {best['run_id']}")
    console.print(f"make it the champion: xpfeh promote {best['run_id']}")


@app.command()
def compare(
    experiment: Annotated[str, typer.Argument(help="MLflow experiment.")] = "xpfeh",
    rows: Annotated[int, typer.Option(min=1, help="Show so many.")] = 20,
) -> None:
    """Runs side by side, best first."""
    from xpfeh.experiments.tracking import finished_runs

    runs = finished_runs(experiment)
    varied = [
        name
        for name in sorted({key for run in runs for key in run.data.params})
        if len({run.data.params.get(name) for run in runs}) > 1 and name not in ("seed", "name")
    ]
    table = Table(
        Column("run", no_wrap=True),
        "recipe",
        "MAE",
        "robust σ",
        "std",
        "in 68 %",
        "nll",
        "what differs",
        title=f"{experiment}: validation stars",
    )
    for run in runs[:rows]:
        m, p = run.data.metrics, run.data.params
        numbers = [f"{m.get(key, float('nan')):.3f}" for key in ("mae", "robust_sigma", "std")]
        told = " ".join(f"{name}={_short(p[name])}" for name in varied if name in p)
        table.add_row(
            run.info.run_id[:8],
            p.get("name", ""),
            *numbers,
            f"{m.get('coverage_68', 0):.0%}",
            f"{m.get('nll', 0):.2f}",
            told,
        )
    console.print(table)


@app.command()
def promote(run: Annotated[str, typer.Argument(help="Run id, or its beginning as xpfeh compare shows it.")]) -> None:
    """Make a run's model the champion."""
    from xpfeh.experiments.registry import promote

    console.print(f"champion: models:/xpfeh/{promote(run)}")


@app.command()
def rollback() -> None:
    """Make the champion before this one the champion again."""
    from xpfeh.experiments.registry import rollback

    console.print(f"champion: models:/xpfeh/{rollback()}")


@app.command()
def catalog(
    features: Features,
    out: Annotated[str, typer.Option(help="Folder or URI of the catalog.")],
    model: Model = "models:/xpfeh@champion",
) -> None:
    """[Fe/H] for every star of a features dataset: the paper's Table 2. Run again to resume."""
    from xpfeh.batch.catalog import make_catalog
    from xpfeh.experiments.registry import local_bundle

    _tell_rows(out, make_catalog(features, local_bundle(model), out))


@app.command()
def predict(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    model: Model,
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .fits or .csv.")],
    photometry: Photometry = [],
    distances: Distances = [],
) -> None:
    """[Fe/H] of a file of spectra, on this machine alone."""
    from xpfeh.experiments.registry import local_bundle
    from xpfeh.model.predict_file import predict_file
    from xpfeh.sources.reader import Beside

    rows = predict_file(source, local_bundle(model), out, Beside(tuple(photometry), tuple(distances)))
    console.print(f"{rows} stars: {out}")


@app.command()
def sensitivity(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    model: Model,
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .fits.")],
    photometry: Photometry = [],
) -> None:
    """Which wavelengths each star's [Fe/H] rests on: d[Fe/H] / d flux by pixel."""
    from xpfeh.experiments.registry import local_bundle
    from xpfeh.model.predict_file import sensitivity_file
    from xpfeh.sources.reader import Beside

    rows = sensitivity_file(source, local_bundle(model), out, Beside(tuple(photometry), ()))
    console.print(f"{rows} stars: {out}")


@app.command()
def validate(
    model: Annotated[list[str], typer.Option(help="A bundle's folder, or models:/xpfeh@champion; may be repeated.")],
    features: Features,
    labels: LabelsFile,
    out: Annotated[Path, typer.Option(help="Folder of the report; with several models, a folder in it each.")],
    baseline: Annotated[str | None, typer.Option(help="Also train and judge: xgboost.")] = None,
) -> None:
    """Judge models, each on the stars held out from it: numbers, pictures, a page.

    Models of other splits of the sky (train --salt) tell how far the numbers depend on the split.
    """
    from xpfeh.experiments.registry import local_bundle
    from xpfeh.labels.catalogs import read_labels
    from xpfeh.labels.samples import labelled_sample
    from xpfeh.model.baseline import BASELINE
    from xpfeh.model.bundle import read_card
    from xpfeh.model.validate import validate

    if baseline not in (None, BASELINE):
        raise UserError(f"--baseline {baseline}: there is {BASELINE}")
    read, judged = read_labels(labels), []
    for each in model:
        bundle = local_bundle(each)
        card = read_card(bundle)
        salt = card["split"]["salt"]
        page = out / f"{card['version']}-{salt}" if len(model) > 1 else out
        sample = labelled_sample(features, read, salt)
        judged.append(validate({card["recipe"]["name"]: bundle}, sample, page, baseline=baseline is not None))
        _tell_metrics(judged[-1], f"held-out stars of split {salt}")
        console.print(f"report: {page / 'index.html'}", soft_wrap=True)
    if len(model) > 1:
        _tell_spread(judged)


@app.command()
def serve(
    config: Annotated[Path, typer.Option(help="Ray Serve YAML.")] = Path("serve_configs/local.yaml"),
    model: Annotated[str | None, typer.Option(help="Serve this model and not the configured one.")] = None,
) -> None:
    """Answer HTTP requests until interrupted."""
    import signal

    from xpfeh.serving.deploy import deploy, read_config, withdraw

    parsed = read_config(config)
    address = deploy(parsed, model)
    console.print(f"serving at {address} (requests and answers: {address}/docs); Ctrl-C ends it")
    with suppress(KeyboardInterrupt):
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    withdraw(parsed)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for all it makes.")] = Path("demo"),
    trials: Annotated[int, typer.Option(min=1, help="Trials of the search.")] = 10,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of a trial.")] = 6_000,
    paper_steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of the paper's recipe.")] = 60_000,
) -> None:
    """The whole way, with 39,851 real spectra: ingest, train, tune, promote, catalog, report, serve, ask."""
    from xpfeh.demo import run_demo

    run_demo(out, trials, steps, paper_steps, console)


@app.command()
def flags() -> None:
    """What the bits of the flags column mean."""
    from xpfeh.xp.flags import MEANING

    table = Table("bit", "value", "name", "meaning")
    for bit, meaning in MEANING.items():
        table.add_row(str(bit.bit_length() - 1), str(int(bit)), bit.name, meaning)
    console.print(table)


def job(command: str) -> None:
    """Run one command with this process's arguments: what the scripts in ``jobs/`` do inside a Ray job."""
    main([command, *sys.argv[1:]])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        app(arguments)
    except UserError as error:
        print(f"xpfeh: {error}", file=sys.stderr)
        sys.exit(2)


def _tell_rows(out: str, records: list[Any]) -> None:
    read, written = sum(r.rows_read for r in records), sum(r.rows_written for r in records)
    rejected: Counter[str] = sum((Counter(r.rejected) for r in records), Counter())
    told = "".join(f", {n} rejected: {reason}" for reason, n in rejected.items())
    console.print(f"{read} rows read = {written} written{told}: {out}")


def _tell_cuts(counts: dict[str, int]) -> None:
    table = Table("cut", "stars left", title="labelled sample")
    for name, left in counts.items():
        table.add_row(name, str(left))
    console.print(table)


_COLUMNS = {
    "bias": "+.3f", "median": "+.3f", "robust_sigma": ".3f", "std": ".3f", "mae": ".3f",
    "coverage_68": ".3f", "coverage_95": ".3f", "nll": ".2f",
}  # fmt: skip


def _tell_metrics(metrics: dict[str, dict[str, dict[str, float]]], where: str) -> None:
    for name, slices in metrics.items():
        table = Table("stars", "n", *_COLUMNS, title=f"{name}: {where}")
        for label, m in slices.items():
            if m["n"]:
                table.add_row(label, str(m["n"]), *(f"{m[key]:{form}}" for key, form in _COLUMNS.items()))
        console.print(table)
        if "caught" in slices["all"]:
            found, caught = slices["all"]["catastrophic"], slices["all"]["caught"]
            console.print(f"{found} residuals beyond 0.5 dex, {caught} of them among the 1 % of largest domain scores")


def _tell_spread(judged: list[dict[str, dict[str, dict[str, float]]]]) -> None:
    """Print mean and standard deviation over models of one recipe, on their own held-out stars."""
    by_name: dict[str, list[dict[str, dict[str, float]]]] = {}
    for metrics in judged:
        for name, slices in metrics.items():
            by_name.setdefault(name, []).append(slices)
    for name, runs in by_name.items():
        table = Table("stars", *_COLUMNS, title=f"{name}: mean ± standard deviation over {len(runs)} models")
        for label in runs[0]:
            known = [slices[label] for slices in runs if slices[label]["n"]]
            if len(known) > 1:
                values = {key: [m[key] for m in known] for key in _COLUMNS}
                cells = [
                    f"{mean(values[key]):{form}} ± {stdev(values[key]):{form[-3:]}}" for key, form in _COLUMNS.items()
                ]
                table.add_row(label, *cells)
        console.print(table)


def _short(text: str) -> str:
    try:
        return f"{float(text):.3g}"
    except ValueError:
        return text.replace(" ", "")
