"""Datasets that are damaged, unfinished or not datasets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.bad_input.case import (
    Case,
    Make,
    both,
    copy,
    file,
    folder,
    group,
    nothing,
)

PLAN = "_xpfeh/plan.json"
RECORD = "_xpfeh/done/part-00001.json"
PART = "part-00001.parquet"


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda dataset: (dataset / name).write_bytes(content.encode() if isinstance(content, str) else content)


def remove(name: str) -> Callable[[Path], object]:
    return lambda dataset: (dataset / name).unlink()


def edit_json(name: str, **values: object) -> Callable[[Path], object]:
    """Set keys of a JSON file; those set to None are removed."""

    def change(dataset: Path) -> None:
        now = {**json.loads((dataset / name).read_text()), **values}
        (dataset / name).write_text(json.dumps({key: value for key, value in now.items() if value is not None}))

    return change


def flip_a_bit(name: str) -> Callable[[Path], object]:
    """Change a file's bytes but not its size."""

    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 0x10
        (folder / name).write_bytes(content)

    return change


def replace_part(dataset: Path) -> None:
    """Replace a part by another valid one, as if it had the same size."""
    content = (dataset / "part-00000.parquet").read_bytes()
    (dataset / PART).write_bytes(content)
    edit_json(RECORD, bytes=len(content))(dataset)


def lost_with_a_stranger(dataset: Path) -> None:
    (dataset / PART).rename(dataset / "mine.parquet")


def older_plan(dataset: Path) -> None:
    """Write the plan under another name of the shards."""
    plan = json.loads((dataset / PLAN).read_text())
    plan["pieces"] = plan.pop("shards")
    (dataset / PLAN).write_text(json.dumps(plan))


CHANGED = "(is not the part that was recorded|was changed after it was recorded); delete it"


def damaged(what: str) -> dict[str, tuple[Make, str]]:
    """Faults of a dataset, and every command's message."""
    return {
        "part altered": (copy(what, "data", flip_a_bit(PART)), f"data/{PART}: {CHANGED}"),
        "part of another size": (copy(what, "data", write(PART, b"junk")), "data: 1 of 3 parts .*first: part-00001"),
        "part replaced": (copy(what, "data", replace_part), f"data/{PART}: {CHANGED}"),
        "part lost, and a stranger": (copy(what, "data", lost_with_a_stranger), "data: 1 of 3 parts are missing"),
        "part and record of elsewhere": (
            copy(what, "data", edit_json(RECORD, source_fingerprint="md5:0")),
            "data: 1 of 3 parts are missing",
        ),
        "unfinished": (copy(what, "data", remove(RECORD)), "data: 1 of 3 parts are missing"),
        "record of another shard": (
            copy(what, "data", edit_json(RECORD, shard="part-00002")),
            "data: 1 of 3 parts are",
        ),
    }


def unreadable(what: str) -> dict[str, tuple[Make, str]]:
    """Faults of a dataset's ledger."""
    return {
        "no plan": (copy(what, "data", remove(PLAN)), "data: not an xpfeh dataset"),
        "empty plan": (copy(what, "data", write(PLAN, "")), "data/_xpfeh/plan.json: not a plan of this version"),
        "plan cut short": (copy(what, "data", write(PLAN, '{"kind": ')), "data/_xpfeh/plan.json: not a plan"),
        "binary plan": (copy(what, "data", write(PLAN, b"\xff\xfe\0")), "data/_xpfeh/plan.json: not a plan"),
        "plan is a list": (copy(what, "data", write(PLAN, "[1, 2]")), "data/_xpfeh/plan.json: not a plan"),
        "plan of an older format": (copy(what, "data", older_plan), "data/_xpfeh/plan.json: not a plan.*shards"),
        "empty record": (copy(what, "data", write(RECORD, "")), f"data/{RECORD}: not a record of this version"),
        "record of no bytes": (
            copy(what, "data", edit_json(RECORD, bytes=None)),
            f"data/{RECORD}: not a record.*bytes",
        ),
        "a file": (file("data", "x"), "data: not an xpfeh dataset"),
        "missing": (nothing, "data: not an xpfeh dataset"),
    }


BUCKET = "s3://bucket/data?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
DATASETS = {
    **group(
        "train", "train --features data --labels {labels} --out new/model", damaged("features") | unreadable("features")
    ),
    **group("promote", "promote 12ab --features data --labels {labels}", damaged("features")),
    **group("tune", "tune --features data --labels {labels}", damaged("features")),
    **group(
        "validate", "validate --features data --labels {labels} --model {bundle} --out new/report", damaged("features")
    ),
    **group(
        "catalog run",
        "catalog run --features data --model {bundle} --out new/catalog",
        # What is altered within the same size is found by the workers, see below.
        {title: case for title, case in damaged("features").items() if title not in ("part altered", "part replaced")}
        | unreadable("features"),
    ),
    **group("publish", "catalog publish data --out new/release", damaged("catalog") | unreadable("catalog")),
    **group("status", "status data", unreadable("catalog")),
    **group(
        "failed",
        "failed data",
        {
            "a folder": (folder("data"), "data: not an xpfeh dataset"),
            "corrupt": (
                both(copy("catalog", "data"), file("data/_xpfeh/failed/part-00001.json", "{}")),
                "failed/part-00001.json: not a failure of this version",
            ),
        },
    ),
    "verify: a folder": Case("verify data", folder("data"), "data: not an xpfeh dataset"),
    "train: a catalog": Case(
        "train --features {catalog} --labels {labels} --out model", nothing, "holds a dataset of kind catalog, not feat"
    ),
    "catalog run: a catalog": Case(
        "catalog run --features {catalog} --model {bundle} --out catalog", nothing, "kind catalog, not features"
    ),
    "publish: features": Case("catalog publish {features} --out release", nothing, "kind features, not catalog"),
    # Six seconds, which pyarrow spends on asking again.
    "train: a bucket that is away": Case(
        f"train --features '{BUCKET}' --labels {{labels}} --out model", nothing, "s3://bucket/data.*: cannot be opened"
    ),
    "ingest: no bucket": Case("ingest s3:// --out features", nothing, "s3://: .*names no bucket"),
    "ingest: out in no bucket": Case("ingest {star} --out s3://", nothing, "s3://: .*names no bucket"),
    "publish: an option that S3 has not": Case(
        "catalog publish 's3://bucket/data?colour=red' --out release", nothing, "s3://bucket.*: cannot be opened"
    ),
    "features: an unknown scheme": Case("status hdfz://data", nothing, "hdfz://data: cannot be opened"),
}
