"""Finished catalogs of made-up stars, for tests of publishing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy import units
from astropy_healpix import lonlat_to_healpix
from xpfeh.columns import CATALOG, to_table
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.flags import Flag, is_good
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings

PARTS, STARS = 4, 3000


def made_up_stars() -> pa.Table:
    """Return stars over the whole sky, half of them in one dense patch; some lack prediction, colour or distance."""
    rng = np.random.default_rng(7)
    spread = np.arange(STARS) % 2 == 0
    ra = np.where(spread, rng.uniform(0, 360, STARS), rng.normal(180, 1, STARS))
    dec = np.where(spread, np.degrees(np.arcsin(rng.uniform(-1, 1, STARS))), rng.normal(20, 1, STARS))
    # Gaia's identifiers keep the pixel of an earlier position.
    pixel = lonlat_to_healpix((ra + 0.01) * units.deg, dec * units.deg, 2**12, order="nested")
    columns: dict[str, np.ndarray] = {
        field.name: rng.normal(size=STARS) for field in CATALOG if pa.types.is_floating(field.type)
    }
    for name in ("FEH", "FEH_err", "M_G", "BP_RP0"):
        columns[name][rng.random(STARS) < 0.1] = np.nan
    columns |= {
        "source_id": pixel.astype(np.int64) * 2**35 + np.arange(STARS),
        "ra": ra,
        "dec": dec,
        "flags": rng.integers(0, 2**15, STARS, dtype=np.uint32) | np.uint32(2**31),
        "model_version": np.where(np.arange(STARS) % 3, "made-up-model", "made-up"),
    }
    columns["flags"][:500] = 0
    columns["flags"][500:700] = Flag.HIGH_EXTINCTION | Flag.FAINT
    columns["good"] = is_good(columns["flags"], whole_sky=True)
    order = rng.permutation(STARS)
    return to_table({name: values[order] for name, values in columns.items()}, CATALOG)


def stars_at(ra: np.ndarray, dec: np.ndarray) -> pa.Table:
    """Return stars at these positions (deg), with identifiers from 1."""
    columns: dict[str, np.ndarray] = {field.name: np.ones(len(ra)) for field in CATALOG}
    columns |= {"source_id": np.arange(1, len(ra) + 1), "ra": ra, "dec": dec, "flags": np.zeros(len(ra), np.uint32)}
    return to_table(columns | {"model_version": np.full(len(ra), "made", dtype=object)}, CATALOG)


def write_catalog(folder: Path, table: pa.Table, kind: str = "catalog", parts: int = PARTS) -> Path:
    starts = np.linspace(0, len(table), PARTS + 1, dtype=int).tolist()
    shards = [
        Shard(name=f"part-{i:05d}", source="s", start=starts[i], rows=starts[i + 1] - starts[i]) for i in range(PARTS)
    ]
    plan = Plan(
        kind=kind,
        inputs={"made up": "1"},
        settings=PreprocessSettings(),
        model="m-1",
        shards=shards,
        made_by=code_version(),
    )
    dataset = Dataset.begin(folder, plan)
    for shard in shards[:parts]:
        dataset.commit(shard, [Delivery(table.slice(shard.start, shard.rows))])
    return folder
