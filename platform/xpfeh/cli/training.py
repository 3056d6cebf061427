"""Commands that make models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import (
    Baseline,
    Clusters,
    CpusEach,
    Earlier,
    Features,
    GpusEach,
    Labels,
    MembersAtOnce,
    MemoryGB,
    OfCatalog,
    OfNeighbours,
    References,
    Set,
    comparisons_of,
    local,
)
from xpfeh.cli.panels import TRAINING, examples
from xpfeh.cli.printing import console, print_cuts, print_metrics
from xpfeh.settings import SALT, recipe_named

app = typer.Typer()


@app.command(
    rich_help_panel=TRAINING,
    epilog=examples(
        "xpfeh train --features features --labels labels.parquet --out model",
        "xpfeh train --features features --labels labels.parquet --out model \\",
        "  --recipe paper --set steps=60000",
    ),
)
def train(
    features: Features,
    labels: Labels,
    out: Annotated[Path, local("Model bundle to write: a new folder.")],
    recipe: Annotated[str, typer.Option(help="best: the most accurate; paper: UA-CSNet as published.")] = "best",
    salt: Annotated[str, typer.Option(help="Name of the split of the sky; another name holds out other stars.")] = SALT,
    workers: MembersAtOnce = 1,
    cpus_per_worker: CpusEach = 1.0,
    gpus_per_worker: GpusEach = 0.0,
    memory: MemoryGB = None,
    settings: Set = [],
) -> None:
    """Train a model and record it in MLflow."""
    from xpfeh.cluster.connection import Share
    from xpfeh.commands.read_sample import read_sample
    from xpfeh.commands.train import train_and_record

    chosen = recipe_named(recipe).with_overrides(settings)
    sample = read_sample(features, labels, salt, memory)
    print_cuts(sample.origin.stars_left)
    trained = train_and_record(sample, chosen, out, workers, Share(cpus_per_worker, gpus_per_worker))
    numbers = trained.card.validation
    console.print(
        f"{trained.card.version}: validation MAE {numbers['mae']:.3f}, robust sigma {numbers['robust_sigma']:.3f} dex"
    )
    console.print(f"run {trained.run_id} -> {out}", soft_wrap=True)


@app.command(rich_help_panel=TRAINING, epilog=examples("xpfeh pretrain --workers 2 --out model"))
def pretrain(
    out: Annotated[Path, local("Model bundle to write: a new folder.")],
    workers: MembersAtOnce = 1,
    settings: Set = [],
) -> None:
    """Train the model that the package ships, from the packaged library; the result is the same each time."""
    from xpfeh.commands.pretrain import pretrain

    card = pretrain(out, recipe_named("best").with_overrides(settings), workers)
    numbers = card.held_out["all"]
    console.print(f"{card.version}: MAE {numbers['mae']:.3f} dex on {numbers['n']:,.0f} held-out stars")


@app.command(
    rich_help_panel=TRAINING,
    epilog=examples(
        "xpfeh tune --features features --labels labels.parquet --trials 50",
        "xpfeh tune --features features --labels labels.parquet --resume search",
        "xpfeh tune --features features --labels labels.parquet --gpus-per-worker 0.1",
    ),
)
def tune(
    features: Annotated[
        list[str],
        typer.Option(help="Features written by `xpfeh ingest`; repeatable: the search also chooses among them."),
    ],
    labels: Labels,
    trials: Annotated[int, typer.Option(min=1, help="Number of trials.")] = 20,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of each trial.")] = 10_000,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Maximum concurrent trials; an autoscaling cluster grows. Default: as many as current cores allow.",
        ),
    ] = None,
    cpus_per_worker: CpusEach = 1.0,
    gpus_per_worker: GpusEach = 0.0,
    finalists: Annotated[
        int, typer.Option(min=1, help="How many of the best trials are trained as ensembles and cross-validated.")
    ] = 3,
    members: Annotated[int, typer.Option(min=10, help="Networks in each ensemble: a multiple of 5.")] = 10,
    name: Annotated[str, typer.Option(help="Name of a new search.")] = "search",
    resume: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Resume this search, with the same data, --trials, --steps and --memory."),
    ] = None,
    storage: Annotated[str, typer.Option(help="Folder or URI for the state of searches.")] = "searches",
    memory: MemoryGB = None,
) -> None:
    """Search hyperparameters with Ray Tune; every trial is a run in MLflow."""
    from xpfeh.cluster.connection import Share
    from xpfeh.commands.read_sample import read_sample
    from xpfeh.experiments.search import search

    samples = [read_sample(each, labels, memory_gb=memory) for each in features]
    print_cuts(samples[0].origin.stars_left)
    share = Share(cpus_per_worker, gpus_per_worker)
    name = resume or name
    again = resume is not None
    found = search(samples, name, trials, steps, storage, share, again, finalists, members, workers)
    winner = found.winner
    console.print(
        f"best of {found.trials} trials: cross-validated MAE {winner.mae:.4f} ± {winner.mae_error:.4f} dex as an "
        f"ensemble of {members}, run {winner.run_id}",
        soft_wrap=True,
    )
    if found.failed:
        console.print(
            f"{found.failed} trials failed; --resume {name} retries them; reasons: {storage}/{name}/*/error.txt",
            soft_wrap=True,
        )
    console.print(f"make it the champion: xpfeh promote {winner.run_id} --features ... --labels ...", soft_wrap=True)


@app.command(
    rich_help_panel=TRAINING,
    epilog=examples(
        "xpfeh cross-validate --features features --labels labels.parquet --out cv",
        "xpfeh cross-validate --features features --labels labels.parquet --out cv \\",
        "  --recipe best --recipe paper --baseline xgboost --workers 2",
    ),
)
def cross_validate(
    features: Features,
    labels: Labels,
    out: Annotated[Path, local("Folder for the models and the report.")],
    recipe: Annotated[list[str], typer.Option(help="best or paper; repeatable.")] = ["best"],
    salt: Annotated[str, typer.Option(help="Name of the split of the sky.")] = SALT,
    reference: References = [],
    clusters: Clusters = None,
    catalog: OfCatalog = None,
    baseline: Baseline = None,
    earlier: Earlier = None,
    neighbourhood: OfNeighbours = None,
    workers: MembersAtOnce = 1,
    settings: Set = [],
) -> None:
    """Judge recipes on every labelled star, each by a model that has not seen it. Rerun to resume.

    Five models are trained for each recipe, each on four fifths of the sky. These are the numbers to quote: they cover
    all labelled stars, and no star is judged by a model trained on its part of the sky.
    """
    from xpfeh.commands.cross_validate import cross_validate

    comparisons = comparisons_of(reference, clusters, catalog, baseline, earlier, neighbourhood)
    recipes = [recipe_named(name).with_overrides(settings) for name in dict.fromkeys(recipe)]
    metrics = cross_validate(features, labels, recipes, out, salt, comparisons, workers)
    print_metrics(metrics, "cross-validated over the sky")
    console.print(f"report -> {out / 'report' / 'index.html'}", soft_wrap=True)
