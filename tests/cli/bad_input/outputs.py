"""Places that cannot be written to."""

from __future__ import annotations

from xpfeh.sources.library import NAME

from tests.cli.bad_input.case import (
    Case,
    copy,
    file,
    folder,
    nothing,
)

OUTPUTS = {
    "ingest: out holds another run": Case(
        "ingest {star} --out data", copy("features", "data"), f"data holds another run: .*{NAME} is gone"
    ),
    "ingest: out is a file": Case("ingest {star} --out data", file("data", ""), "data: cannot become a folder"),
    "ingest: out under a file": Case(
        "ingest {star} --out data/new", file("data", ""), "data/new: cannot become a folder"
    ),
    "ingest: out empty": Case("ingest {star} --out ''", nothing, "an empty name"),
    "catalog run: out holds features": Case(
        "catalog run --features data --model {bundle} --out data",
        copy("features", "data"),
        "data holds another run: kind 'features' -> 'catalog'",
    ),
    "catalog run: out is a file": Case(
        "catalog run --features {features} --model {bundle} --out data",
        file("data", ""),
        "data: cannot become a folder",
    ),
    "train: out is a file": Case(
        "train --features {features} --labels {labels} --out model",
        file("model", ""),
        "model: is a file; name a folder",
    ),
    "train: out under a file": Case(
        "train --features {features} --labels {labels} --out a/model", file("a", ""), "a/model: cannot be written"
    ),
    "train: out holds other files": Case(
        "train --features {features} --labels {labels} --out model",
        folder("model", "thesis"),
        "model: holds other files",
    ),
    "train: out in a bucket": Case(
        "train --features {features} --labels {labels} --out s3://b/model",
        nothing,
        "s3://b/model: must be a local path",
    ),
    "validate: out is a file": Case(
        "validate --features {features} --labels {labels} --model {bundle} --out report",
        file("report", ""),
        "report: is a file",
    ),
    "validate: out holds other files": Case(
        "validate --features {features} --labels {labels} --model {bundle} --out report",
        folder("report", "thesis"),
        "report: holds other files",
    ),
    "publish: out is a file": Case(
        "catalog publish {catalog} --out release", file("release", ""), "release: is a file"
    ),
    "publish: out under a file": Case(
        "catalog publish {catalog} --out a/b/c", file("a", ""), "a/b/c: cannot be written"
    ),
    "publish: out holds other files": Case(
        "catalog publish {catalog} --out release", folder("release", "thesis"), "release: holds other files"
    ),
    "publish: out in a bucket": Case(
        "catalog publish {catalog} --out s3://b/r", nothing, "s3://b/r: must be a local path"
    ),
    "publish: unknown format": Case(
        "catalog publish {catalog} --out r --format xls", nothing, "no such format: xls; cho"
    ),
    "publish: unknown sample": Case(
        "catalog publish {catalog} --out r --sample x", nothing, "no such sample: x; choose"
    ),
    "publish: a sample of no star": Case(
        "catalog publish {catalog} --out r --sample paper", nothing, "no star is in the sample paper"
    ),
    "demo: out holds other files": Case("demo --out demo", folder("demo", "thesis"), "demo: holds other files"),
    "compare: page is a folder": Case("compare --html page.html", folder("page.html"), "page.html: is a folder"),
    "predict: out is a folder": Case(
        "predict {star} --model {bundle} --out a.fits", folder("a.fits"), "a.fits: is a folder; name a file"
    ),
}
