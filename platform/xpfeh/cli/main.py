"""The command line: each command is a few lines on the package. `xpfeh --help` reads like a tour."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from xpfeh import __version__
from xpfeh.cli.catalog import catalog
from xpfeh.cli.fetch import fetch
from xpfeh.cli.printing import console, tell_cuts, tell_gates, tell_metrics, tell_rows, tell_runs, tell_spread
from xpfeh.errors import UserError
from xpfeh.labels.sample import SALT
from xpfeh.settings import PreprocessSettings, recipe_named

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)

app.add_typer(catalog, name="catalog")
app.add_typer(fetch, name="fetch")

Features = Annotated[str, typer.Option(help="Features that `xpfeh ingest` wrote: a folder or s3:// URI.")]
LabelsFile = Annotated[
    Path, typer.Option(help="Table with source_id, feh and perhaps feh_err, logg (Parquet, CSV, FITS).")
]
Model = Annotated[str, typer.Option(help="A bundle's folder, or models:/xpfeh@champion.")]
_PLACES = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
SOURCE_HELP = "apogee-library, or a FITS file of its layout; Gaia XP files: a file, folder, glob or s3:// URI."
Photometry = Annotated[list[str], typer.Option(help="gaia_source: file, folder or glob; may be repeated.")]
Distances = Annotated[
    list[str], typer.Option(help="Tables of r_med_geo or rgeo: file, folder or glob; may be repeated.")
]
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
    from xpfeh.commands.ingest import ingest
    from xpfeh.sources.reader import CompanionFiles

    companions = CompanionFiles.find(photometry, distances)
    records = ingest(source, out, PreprocessSettings().with_overrides(settings), companions)
    tell_rows(out, records)


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
    from xpfeh.commands.labels import write_apogee, write_labels

    if kind == "apogee":
        console.print(f"{write_apogee(table, out)} labels: {out}")
        return
    if gaia is None:
        raise UserError(f"labels of {kind} need --gaia, a table of Gaia stars to match with")
    tell_cuts(write_labels(kind, table, gaia, out, without))
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
    from xpfeh.commands.spectra import Stage, write_spectra
    from xpfeh.sources.reader import CompanionFiles

    if stage not in list(Stage):
        raise UserError(f"--stage {stage}: there are {', '.join(Stage)}")
    chosen = PreprocessSettings().with_overrides(settings)
    written, rejected = write_spectra(source, out, Stage(stage), chosen, CompanionFiles.find(photometry, distances))
    console.print(f"{written} spectra written, {rejected} rows rejected: {out}")


@app.command()
def train(
    features: Features,
    labels: LabelsFile,
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    recipe: Annotated[str, typer.Option(help="paper: UA-CSNet as published; best: what measures best.")] = "paper",
    salt: Annotated[str, typer.Option(help="Names the split of the sky; another one holds out other stars.")] = SALT,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the Ray cluster that share the stars.")] = 1,
    settings: Set = [],
) -> None:
    """Train one model and record it in MLflow."""
    from xpfeh.commands.inputs import read_sample
    from xpfeh.commands.train import train_and_record

    chosen = recipe_named(recipe).with_overrides(settings)
    sample = read_sample(features, labels, salt)
    tell_cuts(sample.origin["stars_left"])
    run_id, card = train_and_record(sample, chosen, out, workers)
    numbers = card["validation"]
    console.print(
        f"{card['version']}: validation MAE {numbers['mae']:.3f}, robust sigma {numbers['robust_sigma']:.3f} dex"
    )
    console.print(f"run {run_id}: {out}", soft_wrap=True)


@app.command()
def tune(
    features: Annotated[list[str], typer.Option(help="Features that `xpfeh ingest` wrote; several are searched over.")],
    labels: LabelsFile,
    trials: Annotated[int, typer.Option(min=1, help="Trials to run.")] = 20,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of a trial.")] = 10_000,
    gpus_per_trial: Annotated[float, typer.Option(min=0, help="Share of a GPU a trial gets.")] = 0.0,
    cpus_per_trial: Annotated[float, typer.Option(min=0.05, help="Share of a CPU core a trial gets.")] = 1.0,
    finalists: Annotated[int, typer.Option(min=1, help="So many of the best are trained with further seeds.")] = 3,
    ensemble: Annotated[int, typer.Option(min=2, help="Networks of the winner, trained again together.")] = 5,
    name: Annotated[str, typer.Option(help="Name of a new search.")] = "search",
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with this search, with the same data, trials and steps.")
    ] = None,
    storage: Annotated[str, typer.Option(help="Folder or URI for the state of searches.")] = "searches",
) -> None:
    """Search hyperparameters with Ray Tune; every trial is a run in MLflow."""
    from xpfeh.cluster.connection import Share
    from xpfeh.commands.inputs import read_sample
    from xpfeh.commands.train import record_ensemble
    from xpfeh.experiments.search import search

    samples = [read_sample(each, labels) for each in features]
    tell_cuts(samples[0].origin["stars_left"])
    share = Share(cpus_per_trial, gpus_per_trial)
    best = search(samples, resume or name, trials, steps, storage, share, resume is not None, finalists)
    told = f"validation MAE {best['mean']:.4f} ± {best['spread']:.4f} dex over {best['seeds']} seeds"
    console.print(f"best of {best['trials']}: {told}, run {best['run_id']}")
    if best["failed"]:
        again = resume or name
        console.print(
            f"{best['failed']} of them failed, --resume {again} tries them again; why: {storage}/{again}/*/error.txt"
        )
    run_id, card = record_ensemble(samples[best["sample"]], best["recipe"], ensemble)
    told = f"cross-validated MAE {card['validation']['mae']:.4f} dex"
    console.print(f"as a cross-fitted ensemble of {ensemble}: {told}, run {run_id}")
    console.print(f"make it the champion: xpfeh promote {run_id} --features ... --labels ...")


@app.command()
def compare(
    experiment: Annotated[str, typer.Argument(help="MLflow experiment.")] = "xpfeh",
    rows: Annotated[int, typer.Option(min=1, help="Print so many; the page has all.")] = 20,
    html: Annotated[Path | None, typer.Option(help="Also write one page with pictures to this file.")] = None,
    reports: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Compare no runs, but two reports of xpfeh validate, star by star."),
    ] = None,
) -> None:
    """Runs side by side, best first: seeds of one recipe in one row, and what differs between the rows."""
    if reports and html:
        raise UserError("--html shows runs and --reports compares stars: give one of them")
    if reports:
        from xpfeh.evaluate.paired import star_by_star

        found = star_by_star(*reports)
        table = Table("dex", "A", "B", "A − B", "95 % interval", "", title=f"{found[0].n} stars of both")
        for d in found:
            numbers = [f"{d.a:.4f}", f"{d.b:.4f}", f"{d.a - d.b:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}"]
            table.add_row(d.name, *numbers, d.verdict)
        console.print(f"A: {reports[0]}\nB: {reports[1]}", soft_wrap=True)
        console.print(table)
        return
    from xpfeh.experiments.recipes_table import curves_of, rows_of

    recipes = rows_of(experiment)
    tell_runs(recipes, rows, experiment)
    if html:
        from xpfeh.evaluate.comparison import write_page

        write_page(html, recipes, curves_of(recipes), experiment)
        console.print(f"page: {html}", soft_wrap=True)


@app.command()
def promote(
    run: Annotated[str, typer.Argument(help="Run id, or its beginning as xpfeh compare shows it.")],
    features: Features,
    labels: LabelsFile,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate does not hold; needs --why.")] = False,
    why: Annotated[str, typer.Option(help="The reason, recorded with the model.")] = "",
) -> None:
    """Make a run's model the champion, if it holds every gate companions the champion of today.

    Both are judged on the same held-out stars: spread, bias, calibration, domain, speed. Exit code 3: a gate did
    not hold.
    """
    from xpfeh.commands.inputs import read_sample
    from xpfeh.commands.promote import RefusedError, promote

    if force != bool(why.strip()):
        raise UserError("--force and --why belong together: say why a model that fails a gate shall serve")
    sample = read_sample(features, labels)
    try:
        version, gates = promote(run, sample, why.strip() if force else None)
    except RefusedError as refused:
        tell_gates(refused.gates)
        console.print(str(refused))
        raise typer.Exit(3) from None
    tell_gates(gates)
    console.print(f"champion: models:/xpfeh/{version}")


@app.command()
def rollback() -> None:
    """Make the champion before this one the champion again."""
    from xpfeh.experiments.registry import rollback

    console.print(f"champion: models:/xpfeh/{rollback()}")


@app.command()
def predict(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    model: Model,
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .fits or .csv.")],
    photometry: Photometry = [],
    distances: Distances = [],
) -> None:
    """[Fe/H] of a file of spectra, on this machine alone."""
    from xpfeh.commands.predict import predict_file
    from xpfeh.experiments.registry import local_bundle
    from xpfeh.sources.reader import CompanionFiles

    rows = predict_file(source, local_bundle(model), out, CompanionFiles.find(photometry, distances))
    console.print(f"{rows} stars: {out}")


@app.command()
def sensitivity(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    model: Model,
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .fits.")],
    photometry: Photometry = [],
) -> None:
    """Which wavelengths each star's [Fe/H] rests on: d[Fe/H] / d flux by pixel."""
    from xpfeh.commands.predict import sensitivity_file
    from xpfeh.experiments.registry import local_bundle
    from xpfeh.sources.reader import CompanionFiles

    rows = sensitivity_file(source, local_bundle(model), out, CompanionFiles.find(photometry))
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
    from xpfeh.commands.inputs import read_sample
    from xpfeh.commands.validate import validate
    from xpfeh.evaluate.baseline import BASELINE
    from xpfeh.experiments.registry import local_bundle
    from xpfeh.inference.bundle import read_card
    from xpfeh.labels.label_table import read_labels

    if baseline not in (None, BASELINE):
        raise UserError(f"--baseline {baseline}: there is {BASELINE}")
    read, judged = read_labels(labels), []
    for each in model:
        bundle = local_bundle(each)
        card = read_card(bundle)
        salt = card["split"]["salt"]
        page = out / f"{card['version']}-{salt}" if len(model) > 1 else out
        sample = read_sample(features, read, salt)
        judged.append(validate({card["recipe"]["name"]: bundle}, sample, page, baseline=baseline is not None))
        tell_metrics(judged[-1], f"held-out stars of split {salt}")
        console.print(f"report: {page / 'index.html'}", soft_wrap=True)
    if len(model) > 1:
        tell_spread(judged)


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
    from xpfeh.commands.demo import run_demo

    run_demo(out, trials, steps, paper_steps, console)


@app.command()
def flags() -> None:
    """What the bits of the flags column mean."""
    from xpfeh.flags import MEANING

    table = Table("bit", "value", "name", "meaning")
    for bit, meaning in MEANING.items():
        table.add_row(str(bit.bit_length() - 1), str(int(bit)), bit.name, meaning)
    console.print(table)


def job(command: str) -> None:
    """Run one command with this process's arguments: what the scripts in ``jobs/`` do inside a Ray job."""
    main([*command.split(), *sys.argv[1:]])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        app(arguments)
    except UserError as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno not in _PLACES:
            raise
        _refuse(f"{error.filename or ''}: {error.strerror}".removeprefix(": "))


def _refuse(told: str) -> None:
    print(f"xpfeh: {told}", file=sys.stderr)
    sys.exit(2)
