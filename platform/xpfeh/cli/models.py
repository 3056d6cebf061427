"""Commands that make models, compare them and choose one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import (
    CHAMPION,
    Baseline,
    Clusters,
    CpusEach,
    Earlier,
    Features,
    GpusEach,
    Labels,
    Model,
    OfCatalog,
    OfNeighbours,
    References,
    Set,
    beside_of,
    local,
)
from xpfeh.cli.printing import (
    console,
    print_cuts,
    print_differences,
    print_gates,
    print_metrics,
    print_recipes,
    print_refusal,
    print_spread,
)
from xpfeh.errors import UserError
from xpfeh.files import local_path
from xpfeh.settings import SALT, recipe_named

app = typer.Typer()


@app.command()
def train(
    features: Features,
    labels: Labels,
    out: Annotated[Path, local("Folder of the bundle to write.")],
    recipe: Annotated[str, typer.Option(help="paper: UA-CSNet as published; best: what measures best.")] = "paper",
    salt: Annotated[str, typer.Option(help="Names the split of the sky; another one holds out other stars.")] = SALT,
    workers: Annotated[
        int, typer.Option(min=1, help="Train so many members of the ensemble at a time, on a Ray cluster.")
    ] = 1,
    cpus_per_worker: CpusEach = 1.0,
    gpus_per_worker: GpusEach = 0.0,
    settings: Set = [],
) -> None:
    """Train one model and record it in MLflow."""
    from xpfeh.cluster.connection import Share
    from xpfeh.commands.read_sample import read_sample
    from xpfeh.commands.train import train_and_record

    chosen = recipe_named(recipe).with_overrides(settings)
    sample = read_sample(features, labels, salt)
    print_cuts(sample.origin.stars_left)
    trained = train_and_record(sample, chosen, out, workers, Share(cpus_per_worker, gpus_per_worker))
    numbers = trained.card.validation
    console.print(
        f"{trained.card.version}: validation MAE {numbers['mae']:.3f}, robust sigma {numbers['robust_sigma']:.3f} dex"
    )
    console.print(f"run {trained.run_id}: {out}", soft_wrap=True)


@app.command()
def pretrain(
    out: Annotated[Path, local("Folder of the bundle to write.")],
    workers: Annotated[int, typer.Option(min=1, help="Train so many networks at a time, on a Ray cluster.")] = 1,
    settings: Set = [],
) -> None:
    """Make the model that the package ships: recipe best, from the packaged library. The same bytes each time."""
    from xpfeh.commands.pretrain import pretrain

    card = pretrain(out, recipe_named("best").with_overrides(settings), workers)
    numbers = card.held_out["all"]
    console.print(f"{card.version}: MAE {numbers['mae']:.3f} dex on {numbers['n']:.0f} held-out stars")


@app.command()
def tune(
    features: Annotated[list[str], typer.Option(help="Features that `xpfeh ingest` wrote; several are searched over.")],
    labels: Labels,
    trials: Annotated[int, typer.Option(min=1, help="Trials to run.")] = 20,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of a trial.")] = 10_000,
    gpus_per_trial: GpusEach = 0.0,
    cpus_per_trial: CpusEach = 1.0,
    max_workers: Annotated[
        int | None,
        typer.Option(min=1, help="So many trials at a time, for which a cluster grows; by default its cores now."),
    ] = None,
    finalists: Annotated[
        int, typer.Option(min=1, help="So many of the best are trained as ensembles and cross-validated over the sky.")
    ] = 3,
    ensemble: Annotated[int, typer.Option(min=10, help="Networks of an ensemble, a multiple of 5.")] = 10,
    name: Annotated[str, typer.Option(help="Name of a new search.")] = "search",
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with this search, with the same data, trials and steps.")
    ] = None,
    storage: Annotated[str, typer.Option(help="Folder or URI for the state of searches.")] = "searches",
) -> None:
    """Search hyperparameters with Ray Tune; every trial is a run in MLflow."""
    from xpfeh.cluster.connection import Share
    from xpfeh.commands.read_sample import read_sample
    from xpfeh.experiments.search import search

    samples = [read_sample(each, labels) for each in features]
    print_cuts(samples[0].origin.stars_left)
    share = Share(cpus_per_trial, gpus_per_trial)
    name = resume or name
    again = resume is not None
    found = search(samples, name, trials, steps, storage, share, again, finalists, ensemble, max_workers)
    winner = found.winner
    console.print(
        f"best of {found.trials}: cross-validated MAE {winner.mae:.4f} ± {winner.mae_error:.4f} dex as an ensemble of "
        f"{ensemble}, run {winner.run_id}",
        soft_wrap=True,
    )
    if found.failed:
        console.print(
            f"{found.failed} of them failed, --resume {name} tries them again; why: {storage}/{name}/*/error.txt",
            soft_wrap=True,
        )
    console.print(f"make it the champion: xpfeh promote {winner.run_id} --features ... --labels ...", soft_wrap=True)


@app.command()
def drift(
    features: Annotated[str, typer.Argument(metavar="FEATURES", help="Features that `xpfeh ingest` wrote.")],
    out: Annotated[Path, local("Folder of the report to write.")],
    model: Model = CHAMPION,
) -> None:
    """Is a dataset like the stars that a model knows? Spectra, colours, flags and domain score, with a picture."""
    from xpfeh.commands.drift import find_drift
    from xpfeh.commands.models import bundle_of

    given, found = find_drift(features, bundle_of(model), out)
    console.print(f"{given.stars:,} stars that pass cuts 1 to 3; {found.outside:.1%} are outside the model's domain")
    for line in found.differences or ["nothing differs from the training stars that is worth a line"]:
        console.print(line, soft_wrap=True)
    console.print(f"report: {out}", soft_wrap=True)


@app.command()
def compare(
    experiment: Annotated[str, typer.Argument(help="MLflow experiment.")] = "xpfeh",
    rows: Annotated[int, typer.Option(min=1, help="Print so many; the page has all.")] = 20,
    html: Annotated[Path | None, local("Also write one page with pictures to this file.")] = None,
    reports: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Compare no runs, but two reports of xpfeh validate, star by star."),
    ] = None,
    neighbourhood: Annotated[
        str | None, typer.Option(help="--reports of DR3 and DR4: the archive's dr3_neighbourhood of the stars.")
    ] = None,
) -> None:
    """Runs side by side, best first: seeds of one recipe in one row, and what differs between the rows."""
    if reports and html:
        raise UserError("--html shows runs and --reports compares stars: give one of them")
    if reports:
        from xpfeh.evaluate.paired import star_by_star
        from xpfeh.labels.neighbourhood import Neighbourhood

        a, b = map(local_path, reports)
        pairs = Neighbourhood(neighbourhood) if neighbourhood else None
        print_differences(reports, star_by_star(a, b, pairs))
        return
    from xpfeh.commands.compare import compare

    print_recipes(compare(experiment, html), rows, experiment)
    if html:
        console.print(f"page: {html}", soft_wrap=True)


@app.command()
def promote(
    run: Annotated[str, typer.Argument(help="Run id, or its beginning as xpfeh compare shows it.")],
    features: Features,
    labels: Labels,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate does not hold; needs --why.")] = False,
    why: Annotated[str, typer.Option(help="The reason, recorded with the model.")] = "",
) -> None:
    """Make a run's model the champion, if it holds every gate beside the best champion so far.

    Both are judged on the same held-out stars: spread, bias, calibration, domain, speed. Exit code 3: a gate did
    not hold.
    """
    from xpfeh.commands.promote import RefusedError, promote
    from xpfeh.commands.read_sample import read_sample

    if force != bool(why.strip()):
        raise UserError("--force and --why belong together: give the reason for serving a model that fails a gate")
    sample = read_sample(features, labels)
    try:
        promotion = promote(run, sample, why.strip() if force else None)
    except RefusedError as refused:
        print_refusal(refused)
        raise typer.Exit(3) from None
    print_gates(promotion)
    console.print(f"champion: models:/xpfeh/{promotion.version}")


@app.command()
def rollback() -> None:
    """Make the champion before this one the champion again."""
    from xpfeh.experiments.registry import rollback

    console.print(f"champion: models:/xpfeh/{rollback()}")


@app.command()
def validate(
    features: Features,
    labels: Labels,
    out: Annotated[Path, local("Folder of the report; with several models, a folder in it each.")],
    model: Annotated[
        list[str], typer.Option(help="As for predict, or a folder of cross-validate's models; may be repeated.")
    ] = [CHAMPION],
    reference: References = [],
    clusters: Clusters = None,
    catalog: OfCatalog = None,
    baseline: Baseline = None,
    earlier: Earlier = None,
    neighbourhood: OfNeighbours = None,
) -> None:
    """Judge models, each on the stars held out from it, with the paper's tests: numbers, pictures, a page.

    Models of other splits of the sky (train --salt) show how far the numbers depend on the split.
    """
    from xpfeh.commands.validate import validate_models

    judged = validate_models(
        model, features, labels, out, beside_of(reference, clusters, catalog, baseline, earlier, neighbourhood)
    )
    for each in judged:
        print_metrics(each.metrics, f"held-out stars of split {each.held_out}")
        console.print(f"report: {each.page}", soft_wrap=True)
    if len(judged) > 1:
        print_spread([each.metrics for each in judged])


@app.command()
def cross_validate(
    features: Features,
    labels: Labels,
    out: Annotated[Path, local("Folder of the models and of the report.")],
    recipe: Annotated[list[str], typer.Option(help="paper or best; may be repeated.")] = ["best"],
    salt: Annotated[str, typer.Option(help="Names the split of the sky.")] = SALT,
    reference: References = [],
    clusters: Clusters = None,
    catalog: OfCatalog = None,
    baseline: Baseline = None,
    earlier: Earlier = None,
    neighbourhood: OfNeighbours = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Train so many members of an ensemble at a time, on a Ray cluster.")
    ] = 1,
    settings: Set = [],
) -> None:
    """Judge recipes on every labelled giant: five models each, trained on four fifths of the sky. Run again to resume.

    The numbers to quote: of all stars and not of a fifth, none predicted by a model that has seen its part of the sky.
    """
    from xpfeh.commands.cross_validate import cross_validate

    beside = beside_of(reference, clusters, catalog, baseline, earlier, neighbourhood)
    recipes = [recipe_named(name).with_overrides(settings) for name in dict.fromkeys(recipe)]
    metrics = cross_validate(features, labels, recipes, out, salt, beside, workers)
    print_metrics(metrics, "cross-validated over the sky")
    console.print(f"report: {out / 'report' / 'index.html'}", soft_wrap=True)


@app.command()
def references() -> None:
    """The published catalogs that validate compares with: their names, and what to download."""
    from xpfeh.labels.reference_catalogs import REFERENCES
    from xpfeh.labels.references import what_to_download

    for name in REFERENCES:
        console.print(name, style="bold")
        console.print(f"{what_to_download(name)}\n", soft_wrap=True)
