"""`xpfeh fetch`: downloads from Gaia's archive and other services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpfeh.cli.options import Adql, ArchiveName, Around, Cone, Epoch, Ids, Radius, Release, local, valid_release
from xpfeh.cli.panels import examples
from xpfeh.cli.printing import console
from xpfeh.errors import UserError

if TYPE_CHECKING:
    from xpfeh.archive.gaia_archive import Tally

fetch = typer.Typer(no_args_is_help=True, help="Download spectra, photometry, distances and more (needs a network).")

ParquetOut = Annotated[Path, local("Parquet table to write.")]


@fetch.command(
    epilog=examples(
        "xpfeh fetch xp --ids stars.txt --out xp",
        "xpfeh fetch xp --cone 266.4 -29.0 0.5 --out xp",
        "xpfeh fetch xp --bulk 000000-010000 --out xp",
    )
)
def xp(
    out: Annotated[Path, local("Folder for the spectra.")],
    ids: Ids = None,
    adql: Adql = None,
    cone: Cone = None,
    around: Around = None,
    radius: Radius = None,
    epoch: Epoch = None,
    bulk: Annotated[
        list[str],
        typer.Option(
            help="A bulk file's name, or a range such as 000000-010000; repeatable. One value may be the URL of "
            "another folder or of a file."
        ),
    ] = [],
    release: Release = "dr3",
    archive: ArchiveName = None,
) -> None:
    """Download XP spectra of chosen stars, or whole bulk files. Rerun to resume."""
    from xpfeh.archive.archives import PUBLIC
    from xpfeh.archive.bulk_files import fetch_bulk
    from xpfeh.archive.gaia_archive import fetch_xp
    from xpfeh.commands.choose_stars import StarChoice, choose_stars

    valid_release(release)
    choice = StarChoice(ids, adql, cone, around, radius, epoch)
    if choice.made == bool(bulk):
        raise UserError("fetch xp: give one of --ids, --adql, --cone, --around, --bulk")
    if bulk:
        console.print(f"{len(fetch_bulk(bulk, out, release))} bulk files, MD5 checked -> {out}", soft_wrap=True)
        return
    services = PUBLIC.only(archive)
    _print_tally(fetch_xp(choose_stars(choice, release, out, services), out, release, services), out)


@fetch.command("gaia-source", epilog=examples("xpfeh fetch gaia-source --ids stars.txt --out gaia_source.parquet"))
def gaia_source(
    out: ParquetOut,
    ids: Ids = None,
    adql: Adql = None,
    cone: Cone = None,
    around: Around = None,
    radius: Radius = None,
    epoch: Epoch = None,
    release: Release = "dr3",
    archive: ArchiveName = None,
) -> None:
    """Download positions, photometry and parallaxes of stars."""
    from xpfeh.archive.archives import PUBLIC
    from xpfeh.archive.gaia_archive import fetch_gaia_source
    from xpfeh.commands.choose_stars import StarChoice, choose_stars

    valid_release(release)
    services = PUBLIC.only(archive)
    chosen = choose_stars(StarChoice(ids, adql, cone, around, radius, epoch), release, out, services)
    _print_tally(fetch_gaia_source(chosen, out, release, services), out)


@fetch.command(epilog=examples("xpfeh fetch neighbourhood --ids labels.parquet --out neighbourhood.parquet"))
def neighbourhood(
    ids: Annotated[Path, local("DR3 identifiers: one per line, or any table with source_id, such as labels.")],
    out: ParquetOut,
    archive: ArchiveName = None,
) -> None:
    """Download the DR4 neighbours of DR3 stars, for `xpfeh labels move`."""
    from xpfeh.archive.archives import PUBLIC
    from xpfeh.archive.gaia_archive import fetch_neighbourhood
    from xpfeh.archive.star_lists import read_ids

    _print_tally(fetch_neighbourhood(read_ids(ids), out, "dr4", PUBLIC.only(archive)), out)


@fetch.command(epilog=examples("xpfeh fetch distances --ids stars.txt --out distances.parquet"))
def distances(
    ids: Annotated[Path, local("Gaia identifiers: one per line, or any table with source_id.")],
    out: ParquetOut,
    release: Release = "dr3",
) -> None:
    """Download geometric distances of stars (Bailer-Jones et al. 2021)."""
    from xpfeh.archive.gaia_archive import fetch_distances
    from xpfeh.archive.star_lists import read_ids

    valid_release(release)
    _print_tally(fetch_distances(read_ids(ids), out, release), out)


@fetch.command(epilog=examples("xpfeh fetch pastel --out pastel.csv"))
def pastel(out: Annotated[Path, local("CSV table to write.")]) -> None:
    """Download PASTEL from VizieR."""
    from xpfeh.archive import gaia_archive as archive

    console.print(f"{archive.fetch_pastel(out)} rows -> {out}", soft_wrap=True)


@fetch.command(epilog=examples("xpfeh fetch saga"))
def saga() -> None:
    """Explain how to get SAGA, which must be exported by hand."""
    raise UserError("export SAGA by hand at saga.sci.hokudai.ac.jp; then: xpfeh labels saga TABLE --gaia ... --out ...")


@fetch.command(epilog=examples("xpfeh fetch corrections"))
def corrections() -> None:
    """Explain what to download for the systematics correction, and where to put it."""
    from xpfeh.files import data_folder
    from xpfeh.xp.correction_tables import CorrectionTables

    tables = CorrectionTables.read(data_folder("corrections"))
    console.print(f"correction tables found, SHA-256 {tables.fingerprint[:16]}")


@fetch.command(epilog=examples("xpfeh fetch sfd"))
def sfd() -> None:
    """Download the full SFD98 dust map, for --dust-map sfd and --set dust_map=sfd."""
    from xpfeh.archive.sfd import fetch_sfd

    console.print(f"SFD98: {fetch_sfd()}", soft_wrap=True)


def _print_tally(tally: Tally, out: Path) -> None:
    counts = f"{tally.asked:,} requested = {tally.received:,} received + {tally.missing:,} missing"
    console.print(f"{counts} -> {out}", soft_wrap=True)
