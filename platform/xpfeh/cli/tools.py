"""Tools: the demo, what the flags mean, whether the archive is as expected, how to cite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import Clusters, References, comparisons_of, local, valid_release
from xpfeh.cli.panels import TOOLS, examples
from xpfeh.cli.printing import console, print_findings, print_flags, print_refusal

app = typer.Typer()


@app.command(rich_help_panel=TOOLS, epilog=examples("xpfeh demo", "xpfeh demo --out /tmp/demo --trials 10"))
def demo(
    out: Annotated[Path, local("Folder for all output.")] = Path("demo"),
    trials: Annotated[int, typer.Option(min=1, help="Trials of the search.")] = 4,
    steps: Annotated[int, typer.Option(min=100, help="Optimiser steps of each trial.")] = 5_000,
    paper_steps: Annotated[int, typer.Option(min=100, help="Steps of the paper's recipe; published: 60,000.")] = 10_000,
    reference: References = [],
    clusters: Clusters = None,
) -> None:
    """Run the whole pipeline on 39,851 real spectra: ingest to endpoint.

    Exit code 3: the best model failed a gate, which can happen with few steps.
    """
    from xpfeh.commands.demo import run_demo
    from xpfeh.commands.promote import NotPromotedError

    try:
        run_demo(out, trials, steps, paper_steps, console, comparisons_of(reference, clusters))
    except NotPromotedError as refused:
        print_refusal(refused)
        raise typer.Exit(3) from None


@app.command(rich_help_panel=TOOLS, epilog=examples("xpfeh flags"))
def flags() -> None:
    """Explain the bits of the column `flags`."""
    print_flags()


@app.command(rich_help_panel=TOOLS, epilog=examples("xpfeh probe dr3", "xpfeh probe dr4 --json"))
def probe(
    release: Annotated[str, typer.Argument(help="dr3 or dr4.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings and the advice as JSON.")] = False,
) -> None:
    """Check whether a data release in Gaia's archive is as xpfeh expects.

    It compares tables, columns, DataLink's retrieval type and data structure, one star's spectrum and GaiaXPy's bases,
    in the archive and its mirrors, and advises on differences. Exit code 1: something differs.
    """
    from xpfeh.archive.archives import PUBLIC
    from xpfeh.archive.probe import Verdict, probe

    valid_release(release)
    findings = print_findings(release, probe(release, PUBLIC), as_json)
    if any(finding.verdict is Verdict.DIFFERS for finding in findings):
        raise typer.Exit(1)


@app.command(rich_help_panel=TOOLS, epilog=examples("xpfeh cite", "xpfeh cite > xpfeh.bib"))
def cite() -> None:
    """Print how to cite xpfeh, its method and Gaia, as BibTeX."""
    from xpfeh.catalog.citation import bibtex

    console.print(bibtex(), soft_wrap=True, highlight=False)
