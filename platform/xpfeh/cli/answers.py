"""Commands that answer, from a file or over HTTP; the demo; what the flags mean."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import (
    PRETRAINED,
    Adql,
    ArchiveName,
    Around,
    Clusters,
    Cone,
    Distances,
    DustMap,
    Epoch,
    Ids,
    Model,
    OwnRelease,
    Photometry,
    Radius,
    References,
    Source,
    beside_of,
    checked,
    local,
)
from xpfeh.cli.printing import (
    console,
    print_answered,
    print_cache,
    print_findings,
    print_flags,
    print_refusal,
    print_written,
)
from xpfeh.errors import UserError

app = typer.Typer()


@app.command()
def predict(
    out: Annotated[Path, local("File to write: .parquet, .fits, .vot, .ecsv or .csv.")],
    source: Annotated[
        str | None, typer.Argument(help="Spectra, as for `xpfeh spectra`; or name stars by an option.")
    ] = None,
    ids: Ids = None,
    adql: Adql = None,
    cone: Cone = None,
    around: Around = None,
    radius: Radius = 2.0,
    epoch: Epoch = 2000.0,
    model: Model = PRETRAINED,
    photometry: Photometry = [],
    distances: Distances = [],
    release: OwnRelease = None,
    archive: ArchiveName = None,
    dust_map: DustMap = None,
) -> None:
    """[Fe/H] of a file of spectra, or of stars that are named, whose spectra come from Gaia's archive.

    Those spectra are kept (`xpfeh cache`): a star is asked for once. On this machine alone.
    """
    from xpfeh.commands.choose_stars import StarChoice
    from xpfeh.commands.models import bundle_of
    from xpfeh.commands.predict import predict_file, predict_stars, without_fetch
    from xpfeh.download.archives import PUBLIC
    from xpfeh.sources.reader import CompanionFiles

    choice, (tables, fetch) = StarChoice(ids, adql, cone, around, radius, epoch), without_fetch(distances)
    companions = CompanionFiles.find(photometry, tables)
    if choice.made == bool(source):
        raise UserError("predict: give a source of spectra, or one of --ids, --adql, --cone, --around")
    if source:
        if fetch or archive:
            raise UserError("predict: --distances fetch and --archive need --ids, --adql, --cone or --around")
        written = predict_file(source, bundle_of(model), out, companions, checked(release), dust_map)
        print_written(out, written)
    else:
        services = PUBLIC.only(archive)
        written = predict_stars(choice, bundle_of(model), out, companions, checked(release), services, fetch, dust_map)
        print_answered(out, written)


@app.command()
def probe(
    release: Annotated[str, typer.Argument(help="dr3 or dr4.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings and the advice as JSON.")] = False,
) -> None:
    """Check whether a data release at Gaia's archive and its mirrors is as expected; if not, say what to do.

    Tables, columns, DataLink's retrieval type and data structure, a star's spectrum, GaiaXPy's bases. Exit code 1:
    something differs.
    """
    from xpfeh.download.archives import PUBLIC
    from xpfeh.download.probe import Verdict, probe

    checked(release)
    findings = print_findings(release, probe(release, PUBLIC), as_json)
    if any(finding.verdict is Verdict.DIFFERS for finding in findings):
        raise typer.Exit(1)


@app.command()
def cache(
    forget: Annotated[str | None, typer.Option(help="Delete what is kept of a data release: dr3 or dr4.")] = None,
) -> None:
    """What is kept of the archive's answers, and how large it is."""
    from xpfeh.download import cache as kept

    if checked(forget):
        kept.forget(str(forget))
    print_cache(kept.sizes())


@app.command()
def sensitivity(
    source: Source,
    out: Annotated[Path, local("File to write: .parquet, .fits, .vot or .ecsv.")],
    model: Model = PRETRAINED,
    photometry: Photometry = [],
) -> None:
    """Which wavelengths each star's [Fe/H] rests on: d[Fe/H] / d flux by pixel."""
    from xpfeh.commands.models import bundle_of
    from xpfeh.commands.predict import sensitivity_file
    from xpfeh.sources.reader import CompanionFiles

    print_written(out, sensitivity_file(source, bundle_of(model), out, CompanionFiles.find(photometry)))


@app.command()
def plot(
    source: Annotated[str, typer.Argument(help="Spectra, as for `xpfeh spectra`, or the identifier of a star.")],
    out: Annotated[Path, local("Picture to write: .png, .pdf or .svg.")],
    source_id: Annotated[int | None, typer.Option(help="Which star, if there are several.")] = None,
    model: Model = PRETRAINED,
    photometry: Photometry = [],
    distances: Distances = [],
) -> None:
    """One star in a picture: spectrum, what its [Fe/H] rests on, [Fe/H] with its intervals, its flags in words."""
    from xpfeh.commands.models import bundle_of
    from xpfeh.commands.plot import plot_star

    plot_star(source, source_id, bundle_of(model), out, photometry, distances)
    console.print(f"{out}", soft_wrap=True)


@app.command()
def serve(
    config: Annotated[Path | None, local("Ray Serve YAML; by default one replica on this machine.")] = None,
    model: Annotated[str | None, typer.Option(help="Serve this model and not the configured one.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Roll each new champion out, without a request that fails.")
    ] = False,
) -> None:
    """Answer HTTP requests until interrupted."""
    import signal
    from threading import Event

    from xpfeh.commands.serve import LOCAL_CONFIG, champions, served

    if follow and model:
        raise UserError("--follow serves the champion, whichever it is: leave --model out")
    with served(config or LOCAL_CONFIG, model) as address:
        console.print(f"serving at {address} (requests and answers: {address}/docs); Ctrl-C ends it", soft_wrap=True)
        # SIGTERM ends it like Ctrl-C: by default the process dies at once, and leaves the endpoint to a joined cluster.
        # And a process that a shell starts in the background ignores Ctrl-C until it is told not to.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            for line in champions(config or LOCAL_CONFIG) if follow else []:
                console.print(line, soft_wrap=True)
            Event().wait()


@app.command()
def rollout(
    model: Annotated[str, typer.Argument(help="A bundle's folder, models:/xpfeh/VERSION, or pretrained.")],
    config: Annotated[Path | None, typer.Option(help="What the endpoint was started with.")] = None,
    share: Annotated[
        float | None,
        typer.Option(min=0.001, max=1.0, help="Answer this share of the requests in the dark, and replace nothing."),
    ] = None,
) -> None:
    """Replace the model of a running endpoint, without a request that fails.

    New replicas start beside the old ones, as soon as a core is free; if they fail, the old ones go on. Back again: the
    same command with the model of before. What a challenger in the dark would have answered: GET /v1/shadow.
    """
    from xpfeh.commands.serve import LOCAL_CONFIG, roll_out

    before, after = roll_out(config or LOCAL_CONFIG, model, share)
    if share is None:
        console.print(f"serving {after}; back again: xpfeh rollout {before}", soft_wrap=True)
    else:
        console.print(f"{after} answers {share:.0%} of the requests in the dark, {before} all", soft_wrap=True)


@app.command()
def demo(
    out: Annotated[Path, local("Folder for all it makes.")] = Path("demo"),
    trials: Annotated[int, typer.Option(min=1, help="Trials of the search.")] = 10,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of a trial.")] = 5_000,
    paper_steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of the paper's recipe.")] = 60_000,
    reference: References = [],
    clusters: Clusters = None,
) -> None:
    """The whole way, with 39,851 real spectra: ingest, train, tune, promote, catalog, report, serve, ask.

    Exit code 3: a gate did not hold, as may happen with few steps.
    """
    from xpfeh.commands.demo import run_demo
    from xpfeh.commands.promote import RefusedError

    try:
        run_demo(out, trials, steps, paper_steps, console, beside_of(reference, clusters))
    except RefusedError as refused:
        print_refusal(refused)
        raise typer.Exit(3) from None


@app.command()
def flags() -> None:
    """What the bits of the flags column mean."""
    print_flags()
