"""Commands that judge models, and choose the champion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import (
    CHAMPION,
    Baseline,
    Clusters,
    Earlier,
    Features,
    Labels,
    Model,
    OfCatalog,
    OfNeighbours,
    References,
    comparisons_of,
    local,
)
from xpfeh.cli.panels import TRAINING, examples
from xpfeh.cli.printing import (
    console,
    print_differences,
    print_drift,
    print_gates,
    print_metrics,
    print_recipes,
    print_refusal,
    print_spread,
)
from xpfeh.errors import UserError
from xpfeh.files import local_path

app = typer.Typer()


@app.command(
    rich_help_panel=TRAINING,
    epilog=examples(
        "xpfeh validate --features features --labels labels.parquet --out report",
        "xpfeh validate --features features --labels labels.parquet --out report \\",
        "  --model model --reference galah=galah.fits",
    ),
)
def validate(
    features: Features,
    labels: Labels,
    out: Annotated[Path, local("Folder for the report; with several models, a subfolder for each.")],
    model: Annotated[
        list[str], typer.Option(help="As for `xpfeh predict`, or a folder of cross-validate's models; repeatable.")
    ] = [CHAMPION],
    reference: References = [],
    clusters: Clusters = None,
    catalog: OfCatalog = None,
    baseline: Baseline = None,
    earlier: Earlier = None,
    neighbourhood: OfNeighbours = None,
) -> None:
    """Judge models on their held-out stars: numbers, figures and a page.

    Models of other splits of the sky (`xpfeh train --salt`) show how much the numbers depend on the split.
    """
    from xpfeh.commands.validate import validate_models

    judged = validate_models(
        model, features, labels, out, comparisons_of(reference, clusters, catalog, baseline, earlier, neighbourhood)
    )
    for each in judged:
        print_metrics(each.metrics, f"held-out stars of split {each.held_out}")
        console.print(f"report -> {each.page}", soft_wrap=True)
    if len(judged) > 1:
        print_spread([each.metrics for each in judged])


@app.command(
    rich_help_panel=TRAINING,
    epilog=examples("xpfeh compare", "xpfeh compare --html page.html", "xpfeh compare --reports report_a report_b"),
)
def compare(
    experiment: Annotated[str, typer.Argument(help="MLflow experiment.")] = "xpfeh",
    rows: Annotated[int, typer.Option(min=1, help="Maximum number of rows to print; the page shows all.")] = 20,
    html: Annotated[Path | None, local("Also write a page with pictures to this file.")] = None,
    reports: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Compare two reports of `xpfeh validate` star by star, instead of runs."),
    ] = None,
    neighbourhood: Annotated[
        str | None,
        typer.Option(help="For --reports of DR3 and DR4: the archive's dr3_neighbourhood table of the stars."),
    ] = None,
) -> None:
    """Compare runs side by side, best first: one row for each recipe, with all its seeds."""
    if reports and html:
        raise UserError("--html shows runs and --reports compares stars: give only one")
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
        console.print(f"page -> {html}", soft_wrap=True)


@app.command(
    rich_help_panel=TRAINING,
    epilog=examples("xpfeh promote 3f2a91c0 --features features --labels labels.parquet"),
)
def promote(
    run: Annotated[str, typer.Argument(help="Run id, or its first characters as `xpfeh compare` prints them.")],
    features: Features,
    labels: Labels,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate fails; needs --why.")] = False,
    why: Annotated[str, typer.Option(help="The reason for --force, recorded with the model.")] = "",
) -> None:
    """Make a run's model the champion, if it passes every gate.

    It is compared with the best champion so far on held-out stars: spread, bias, calibration, domain, speed. Exit
    code 3: a gate failed.
    """
    from xpfeh.commands.promote import NotPromotedError, promote
    from xpfeh.commands.read_sample import read_sample

    if force != bool(why.strip()):
        raise UserError("--force and --why belong together: give the reason for serving a model that fails a gate")
    sample = read_sample(features, labels)
    try:
        promotion = promote(run, sample, why.strip() if force else None)
    except NotPromotedError as refused:
        print_refusal(refused)
        raise typer.Exit(3) from None
    print_gates(promotion)
    console.print(f"champion: models:/xpfeh/{promotion.version}")


@app.command(rich_help_panel=TRAINING, epilog=examples("xpfeh rollback"))
def rollback() -> None:
    """Restore the previous champion."""
    from xpfeh.experiments.registry import rollback

    console.print(f"champion: models:/xpfeh/{rollback()}")


@app.command(
    rich_help_panel=TRAINING,
    epilog=examples(
        "xpfeh drift --features features --out drift", "xpfeh drift --features features --model pretrained --out drift"
    ),
)
def drift(
    features: Features,
    out: Annotated[Path, local("Folder for the report.")],
    model: Model = CHAMPION,
) -> None:
    """Check whether a dataset resembles the stars that a model was judged on."""
    from xpfeh.commands.drift import find_drift
    from xpfeh.experiments.models import bundle_folder

    print_drift(find_drift(features, bundle_folder(model), out))
    console.print(f"report -> {out}", soft_wrap=True)


@app.command(rich_help_panel=TRAINING, epilog=examples("xpfeh references"))
def references() -> None:
    """List the published catalogs that validate compares with, and what to download."""
    from xpfeh.labels.reference_catalogs import PLAIN_LAYOUT, REFERENCES
    from xpfeh.labels.references import what_to_download

    for name in REFERENCES:
        console.print(name, style="bold")
        console.print(f"{what_to_download(name)}\n", soft_wrap=True)
    console.print("any other name", style="bold")
    console.print(f"Your own table with {PLAIN_LAYOUT}", soft_wrap=True)
