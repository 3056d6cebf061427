"""VO Simple Cone Search 1.03 (IVOA recommendation): the stars of a published release around a position."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import pyarrow as pa
from astropy.io.votable.tree import Info, Resource, VOTableFile

from xpfeh.catalog.published import Published
from xpfeh.errors import UserError
from xpfeh.tables.votable import to_votable

MAX_ROWS, LARGEST_RADIUS_DEG = 10_000, 10.0
_UCD1 = {"source_id": "ID_MAIN", "ra": "POS_EQ_RA_MAIN", "dec": "POS_EQ_DEC_MAIN"}
_SHORT = ("source_id", "ra", "dec", "FEH", "FEH_err", "good", "flags")
"""Columns of VERB=1; 2 and 3 give all."""


def search(release: Published, parameters: Mapping[str, str]) -> bytes:
    """Return a VOTable of the stars in a cone; an error is a VOTable too, as the standard requires.

    Parameters
    ----------
    release : Published
    parameters : mapping of str
        ``RA``, ``DEC``, ``SR`` (deg, ICRS), optionally ``VERB`` (1, 2, 3) and ``MAXREC``; names in any case.
    """
    try:
        given = {name.upper(): value for name, value in parameters.items()}
        ra, dec, radius = (_number(given, name) for name in ("RA", "DEC", "SR"))
        if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 <= radius):
            raise UserError("RA must be 0 to 360, DEC -90 to 90, SR at least 0, all in degrees")
        if radius > LARGEST_RADIUS_DEG:
            raise UserError(f"SR must be at most {LARGEST_RADIUS_DEG:g} degrees; use the published files for more")
        most = min(int(_number(given, "MAXREC", MAX_ROWS)), MAX_ROWS)
        verb = int(_number(given, "VERB", 2))
        if verb not in (1, 2, 3) or most < 0:
            raise UserError("VERB must be 1, 2 or 3, and MAXREC at least 0")
    except UserError as error:
        return _to_xml(VOTableFile(), [Info(name="Error", ID="Error", value=str(error))])
    if radius == 0:  # how a client asks for the columns alone
        found, more = release.schema.empty_table(), False
    else:
        found, more = release.cone(ra, dec, radius, most)
    found = found.select([name for name in found.column_names if verb > 1 or name in _SHORT])
    place = found.schema.get_field_index("source_id")  # the standard requires characters
    ids = found.schema.field(place).with_type(pa.string())
    votable = to_votable(found.set_column(place, ids, found["source_id"].cast(pa.string())))
    for field in votable.get_first_table().fields:
        if field.name in _UCD1:
            field.ucd = _UCD1[field.name]
    infos = [Info(name="QUERY_STATUS", value="OVERFLOW" if more else "OK")]
    if more:
        infos.append(Info(name="overflow", value=f"the {most} nearest stars; there are more: choose a smaller SR"))
    return _to_xml(votable, infos)


def _number(given: Mapping[str, str], name: str, default: float | None = None) -> float:
    if name not in given and default is not None:
        return default
    try:
        number = float(given[name])
    except KeyError:
        raise UserError(f"{name} is missing: RA, DEC and SR are needed, in degrees") from None
    except ValueError:
        raise UserError(f"{name} is not a number") from None
    if not math.isfinite(number):
        raise UserError(f"{name} is not finite")
    return number


def _to_xml(votable: VOTableFile, infos: list[Info]) -> bytes:
    if not votable.resources:
        votable.resources.append(Resource())
    resource = votable.resources[0]
    resource.type = "results"
    resource.infos.extend(infos)
    sink = io.BytesIO()
    votable.to_xml(sink, tabledata_format="tabledata")
    return sink.getvalue()
