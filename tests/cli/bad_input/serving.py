"""The endpoint's configuration, and downloads."""

from __future__ import annotations

from xpfeh.files import package_file
from xpfeh.inference.bundle import MODEL

from tests.cli.bad_input.case import (
    STAR,
    Case,
    Make,
    both,
    file,
    folder,
    group,
    nothing,
)
from tests.cli.bad_input.datasets import flip_a_bit
from tests.cli.bad_input.models import altered

CONFIG = package_file("xpfeh", "serving/local.yaml").read_text()
FIRST = CONFIG[CONFIG.index("  - name: xpfeh") :]
SECOND = FIRST.replace("name: xpfeh", "name: second").replace("route_prefix: /", "route_prefix: /second")


def config(old: str = "", new: str = "") -> Make:
    """Make serve.yaml from the repository's, with one change."""
    assert old in CONFIG
    return file("serve.yaml", CONFIG.replace(old, new) if old else CONFIG)


SERVING = {
    **group(
        "serve",
        "serve --config serve.yaml",
        {
            "missing": (nothing, "serve.yaml: No such file"),
            "a folder": (folder("serve.yaml"), "serve.yaml: Is a directory"),
            "empty": (file("serve.yaml", ""), "serve.yaml: "),
            "text": (file("serve.yaml", "hello"), "serve.yaml: "),
            "no YAML": (file("serve.yaml", "a: [1"), "serve.yaml: not YAML"),
            "binary": (file("serve.yaml", bytes(range(256))), "serve.yaml: not YAML"),
            "unknown key": (config("max_queued_requests", "max_queue"), r"does not know applications\[0\].*max_queue"),
            "two applications": (file("serve.yaml", CONFIG + SECOND), "serve.yaml: applications: .*at most 1"),
            "an application twice": (file("serve.yaml", CONFIG + FIRST), "serve.yaml: applications: .*duplicates"),
            "no model": (
                config("model: models:/xpfeh@champion", "keys: keys.json"),
                "serve.yaml: .*args.model: .*required",
            ),
            "a wrong number": (config("num_replicas: 1", "num_replicas: many"), "serve.yaml: .*num_replicas"),
            "no champion": (config(), "models:/xpfeh@champion: no model of that name"),
        },
    ),
    "serve: model missing": Case("serve --config serve.yaml --model nowhere", config(), "nowhere: not a model bundle"),
    "serve: model corrupt": Case(
        "serve --config serve.yaml --model model",
        both(config(), altered(flip_a_bit(MODEL))),
        f"model/{MODEL}: does not match its checksum",
    ),
    "serve: config in a bucket": Case(
        "serve --config s3://b/serve.yaml", nothing, "s3://b/serve.yaml: must be a local"
    ),
}


IDS = file("ids.txt", f"{STAR}\n")
FETCHING = {
    **group(
        "fetch",
        "fetch gaia-source --ids ids.txt --out new/stars.parquet",
        {
            "ids missing": (nothing, "ids.txt: no such file"),
            "ids are words": (file("ids.txt", "Arcturus\nVega\n"), "ids.txt: no column source_id"),
            "ids are floats": (file("ids.txt", "source_id\n5.9e18\n"), "ids.txt: source_id of row 0 is '5.9e18'"),
            "no ids": (file("ids.txt", ""), "ids.txt: holds no source_id"),
            "ids too large": (file("ids.txt", f"{2**64}\n"), "ids.txt: source_id of row 0 is"),
            "ids are a folder": (folder("ids.txt"), "ids.txt: "),
        },
    ),
    "predict: a radius of nothing": Case(
        "predict --ids a.txt --radius 3 --out a.fits", nothing, "--radius and --epoch are for --around"
    ),
    "predict: neither spectra nor stars": Case("predict --out a.fits", nothing, "give either spectra or one of"),
    "predict: both": Case("predict {star} --ids ids.txt --out a.fits", IDS, "give either spectra or one of"),
    "predict: two ways": Case(
        "predict --ids ids.txt --adql SELECT --out a.fits", IDS, "give one of --ids, --adql, --cone, --around"
    ),
    "predict: another release": Case(
        "predict --ids ids.txt --release dr4 --out a.fits", IDS, "--release dr4: the model best-"
    ),
    "predict: an unknown release": Case("predict {star} --release dr9 --out a.fits", nothing, "release dr9: unknown"),
    "predict: positions without columns": Case(
        "predict --around p.csv --out a.fits", file("p.csv", "name\nHD1\n"), "p.csv: no column ra and dec"
    ),
    "ingest: an unknown release": Case("ingest {star} --release dr9 --out new/f", nothing, "release dr9: unknown"),
    "probe: an unknown release": Case("probe dr5", nothing, "release dr5: unknown; choose dr3 or dr4"),
    "cache: an unknown release": Case("cache --forget dr5", nothing, "release dr5: unknown; choose dr3 or dr4"),
    "fetch distances: of DR4": Case(
        "fetch distances --ids ids.txt --release dr4 --out d.parquet", IDS, "no table of distances of Gaia DR4 is known"
    ),
    "fetch xp: two ways": Case(
        "fetch xp --out xp --ids ids.txt --cone 1 2 3", IDS, "give one of --ids, --adql, --cone"
    ),
    "fetch xp: no way": Case("fetch xp --out xp", nothing, "give one of --ids, --adql, --cone, --around, --bulk"),
    "fetch xp: ids are words": Case(
        "fetch xp --out xp --ids ids.csv", file("ids.csv", "a\nb\n"), "ids.csv: no column sou"
    ),
    "fetch xp: out in a bucket": Case("fetch xp --out s3://b/xp --ids ids.txt", IDS, "s3://b/xp: must be a local path"),
    "fetch xp: out is a file": Case("fetch xp --out xp --ids ids.txt", both(IDS, file("xp", "")), "xp.* is a file"),
    "fetch xp: an invalid cone": Case("fetch xp --out xp --cone 10 95 1", nothing, "--cone 10 95 1: "),
    "fetch xp: a cone of no radius": Case("fetch xp --out xp --cone 10 5 nan", nothing, "--cone 10 5 nan: "),
    "fetch saga": Case("fetch saga", nothing, "export SAGA by hand at saga.sci.hokudai.ac.jp"),
    "fetch corrections": Case("fetch corrections", nothing, "has no .*inter_BP.csv, .*get the tables from"),
}
