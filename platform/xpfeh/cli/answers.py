"""Commands that answer, from a file or over HTTP; the demo; what the flags mean."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import PRETRAINED, Distances, Model, Photometry, Source, local
from xpfeh.cli.printing import console, print_flags, print_refusal, print_written

app = typer.Typer()


@app.command()
def predict(
    source: Source,
    out: Annotated[Path, local("File to write: .parquet, .fits or .csv.")],
    model: Model = PRETRAINED,
    photometry: Photometry = [],
    distances: Distances = [],
) -> None:
    """[Fe/H] of a file of spectra, on this machine alone."""
    from xpfeh.commands.models import bundle_of
    from xpfeh.commands.predict import predict_file
    from xpfeh.sources.reader import CompanionFiles

    print_written(out, predict_file(source, bundle_of(model), out, CompanionFiles.find(photometry, distances)))


@app.command()
def sensitivity(
    source: Source,
    out: Annotated[Path, local("File to write: .parquet or .fits.")],
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
    source: Source,
    out: Annotated[Path, local("Picture to write: .png, .pdf or .svg.")],
    source_id: Annotated[int | None, typer.Option(help="Which star, if there are several.")] = None,
    model: Model = PRETRAINED,
) -> None:
    """One star in a picture: spectrum, what its [Fe/H] rests on, [Fe/H] with its intervals, its flags in words."""
    from xpfeh.commands.models import bundle_of
    from xpfeh.commands.plot import plot_star

    plot_star(source, source_id, bundle_of(model), out)
    console.print(f"{out}", soft_wrap=True)


@app.command()
def serve(
    config: Annotated[Path | None, local("Ray Serve YAML; serve_configs/local.yaml by default.")] = None,
    model: Annotated[str | None, typer.Option(help="Serve this model and not the configured one.")] = None,
) -> None:
    """Answer HTTP requests until interrupted."""
    import signal
    from threading import Event

    from xpfeh.commands.serve import LOCAL_CONFIG, served

    with served(config or LOCAL_CONFIG, model) as address:
        console.print(f"serving at {address} (requests and answers: {address}/docs); Ctrl-C ends it", soft_wrap=True)
        # SIGTERM ends it like Ctrl-C: by default the process dies at once, and leaves the endpoint to a joined cluster.
        # And a process that a shell starts in the background ignores Ctrl-C until it is told not to.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            Event().wait()


@app.command()
def demo(
    out: Annotated[Path, local("Folder for all it makes.")] = Path("demo"),
    trials: Annotated[int, typer.Option(min=1, help="Trials of the search.")] = 10,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of a trial.")] = 5_000,
    paper_steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of the paper's recipe.")] = 60_000,
) -> None:
    """The whole way, with 39,851 real spectra: ingest, train, tune, promote, catalog, report, serve, ask.

    Exit code 3: a gate did not hold, as may happen with few steps.
    """
    from xpfeh.commands.demo import run_demo
    from xpfeh.commands.promote import RefusedError

    try:
        run_demo(out, trials, steps, paper_steps, console)
    except RefusedError as refused:
        print_refusal(refused)
        raise typer.Exit(3) from None


@app.command()
def flags() -> None:
    """What the bits of the flags column mean."""
    print_flags()
