"""`xpfeh fetch`: what a user with a network can download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xpfeh.cli.options import local
from xpfeh.cli.printing import console
from xpfeh.errors import UserError

fetch = typer.Typer(no_args_is_help=True, help="Download what is not shipped (needs a network).")

Ids = Annotated[Path, local("Identifiers: one a line, CSV or Parquet with source_id.")]
ParquetOut = Annotated[Path, local("Parquet table to write.")]


@fetch.command()
def xp(
    out: Annotated[Path, local("Folder for the spectra.")],
    ids: Annotated[Path | None, local("Identifiers: one a line, CSV or Parquet with source_id.")] = None,
    adql: Annotated[str | None, typer.Option(help="A query of the Gaia archive that gives source_id.")] = None,
    cone: Annotated[tuple[float, float, float] | None, typer.Option(help="RA DEC RADIUS, degrees.")] = None,
    bulk: Annotated[
        list[str], typer.Option(help="A bulk file's name, or a range 000000-010000; may be repeated.")
    ] = [],
) -> None:
    """XP continuous spectra: by list, by query, around a position, or whole bulk files. Run again to go on."""
    from xpfeh.download import gaia_archive as archive
    from xpfeh.download.bulk_files import fetch_bulk

    if sum(map(bool, (ids, adql, cone, bulk))) != 1:
        raise UserError("fetch xp: give one of --ids, --adql, --cone, --bulk")
    if bulk:
        console.print(f"{len(fetch_bulk(bulk, out))} bulk files, MD5 checked: {out}", soft_wrap=True)
        return
    if cone:
        chosen = archive.ids_by_cone(*cone)
    elif adql:
        chosen = archive.ids_by_adql(adql)
    elif ids:
        chosen = archive.read_ids(ids)
    _print_account(archive.fetch_xp(chosen, out), out)


@fetch.command("gaia-source")
def gaia_source(ids: Ids, out: ParquetOut) -> None:
    """Positions and photometry of stars."""
    from xpfeh.download import gaia_archive as archive

    _print_account(archive.fetch_gaia_source(archive.read_ids(ids), out), out)


@fetch.command("distances")
def fetch_distances(ids: Ids, out: ParquetOut) -> None:
    """Geometric distances of stars (Bailer-Jones et al. 2021)."""
    from xpfeh.download import gaia_archive as archive

    _print_account(archive.fetch_distances(archive.read_ids(ids), out), out)


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
