"""`xpfeh fetch`: what a user with a network can download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xpfeh.cli.options import Adql, ArchiveName, Around, Cone, Epoch, Ids, Radius, Release, checked, local
from xpfeh.cli.printing import console
from xpfeh.errors import UserError

fetch = typer.Typer(no_args_is_help=True, help="Download what is not shipped (needs a network).")

ParquetOut = Annotated[Path, local("Parquet table to write.")]


@fetch.command()
def xp(
    out: Annotated[Path, local("Folder for the spectra.")],
    ids: Ids = None,
    adql: Adql = None,
    cone: Cone = None,
    around: Around = None,
    radius: Radius = 2.0,
    epoch: Epoch = 2000.0,
    bulk: Annotated[
        list[str],
        typer.Option(
            help="A bulk file's name, or a range 000000-010000; may be repeated. One value may be the URL of another "
            "folder, or of a file."
        ),
    ] = [],
    release: Release = "dr3",
    archive: ArchiveName = None,
) -> None:
    """XP spectra: by list, by query, around a position or many, or whole bulk files. Rerun to resume."""
    from xpfeh.commands.choose_stars import StarChoice, choose_stars
    from xpfeh.download.archives import PUBLIC
    from xpfeh.download.bulk_files import fetch_bulk
    from xpfeh.download.gaia_archive import fetch_xp

    checked(release)
    choice = StarChoice(ids, adql, cone, around, radius, epoch)
    if choice.made == bool(bulk):
        raise UserError("fetch xp: give one of --ids, --adql, --cone, --around, --bulk")
    if bulk:
        console.print(f"{len(fetch_bulk(bulk, out, release))} bulk files, MD5 checked: {out}", soft_wrap=True)
        return
    services = PUBLIC.only(archive)
    _print_account(fetch_xp(choose_stars(choice, release, out, services), out, release, services), out)


@fetch.command("gaia-source")
def gaia_source(
    out: ParquetOut,
    ids: Ids = None,
    adql: Adql = None,
    cone: Cone = None,
    around: Around = None,
    radius: Radius = 2.0,
    epoch: Epoch = 2000.0,
    release: Release = "dr3",
    archive: ArchiveName = None,
) -> None:
    """Positions, photometry and parallaxes of stars."""
    from xpfeh.commands.choose_stars import StarChoice, choose_stars
    from xpfeh.download.archives import PUBLIC
    from xpfeh.download.gaia_archive import fetch_gaia_source

    checked(release)
    services = PUBLIC.only(archive)
    chosen = choose_stars(StarChoice(ids, adql, cone, around, radius, epoch), release, out, services)
    _print_account(fetch_gaia_source(chosen, out, release, services), out)


@fetch.command()
def neighbourhood(
    ids: Annotated[Path, local("DR3 identifiers: one a line, or any table with source_id, such as labels.")],
    out: ParquetOut,
    archive: ArchiveName = None,
) -> None:
    """Which DR4 stars lie near DR3 stars: the table that `xpfeh labels move` needs."""
    from xpfeh.download.archives import PUBLIC
    from xpfeh.download.gaia_archive import fetch_neighbourhood
    from xpfeh.download.star_lists import read_ids

    _print_account(fetch_neighbourhood(read_ids(ids), out, "dr4", PUBLIC.only(archive)), out)


@fetch.command("distances")
def distances(
    ids: Annotated[Path, local("Identifiers: one a line, or any table with source_id.")],
    out: ParquetOut,
    release: Release = "dr3",
) -> None:
    """Geometric distances of stars (Bailer-Jones et al. 2021)."""
    from xpfeh.download.gaia_archive import fetch_distances
    from xpfeh.download.star_lists import read_ids

    checked(release)
    _print_account(fetch_distances(read_ids(ids), out, release), out)


@fetch.command()
def pastel(out: Annotated[Path, local("CSV table to write.")]) -> None:
    """PASTEL, from VizieR."""
    from xpfeh.download import gaia_archive as archive

    console.print(f"{archive.fetch_pastel(out)} rows: {out}", soft_wrap=True)


@fetch.command()
def saga() -> None:
    """SAGA: how to get it (its site exports tables by hand only)."""
    raise UserError(
        "SAGA is exported by hand at saga.sci.hokudai.ac.jp; then: xpfeh labels saga TABLE --gaia ... --out ..."
    )


@fetch.command()
def corrections() -> None:
    """The tables of the systematics correction: what to download, and where to put it."""
    from xpfeh.files import data_folder
    from xpfeh.xp.correction_tables import CorrectionTables

    tables = CorrectionTables.read(data_folder("corrections"))
    console.print(f"correction tables are there, SHA-256 {tables.fingerprint[:16]}")


@fetch.command()
def sfd() -> None:
    """The full SFD98 dust map, for --set dust_map=sfd."""
    from xpfeh.download.sfd import fetch_sfd

    console.print(f"SFD98: {fetch_sfd()}", soft_wrap=True)


def _print_account(account: Any, out: Path) -> None:
    counts = f"{account.asked} asked = {account.received} received + {account.missing} missing"
    console.print(f"{counts}: {out}", soft_wrap=True)
