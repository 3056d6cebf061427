"""MLflow's address, and reports."""

from __future__ import annotations

from collections.abc import Mapping

from tests.cli.bad_input.case import (
    Case,
    Make,
    both,
    file,
    folder,
    group,
    nothing,
    parquet,
)


def tracking(command: str, addresses: Mapping[str, tuple[str, Make, str]]) -> dict[str, Case]:
    return {
        f"MLflow: {title}, {command.split()[0]}": Case(command, make, message, {"MLFLOW_TRACKING_URI": uri})
        for title, (uri, make, message) in addresses.items()
    }


AWAY = {
    "nobody listens": ("http://127.0.0.1:{port}", nothing, "tracking server http://127.0.0.1:.* cannot be reached"),
    "junk database": ("sqlite:///junk.db", file("junk.db", b"no database" * 99), "sqlite:///junk.db .*not a database"),
    "database is a folder": ("sqlite:///junk.db", folder("junk.db"), "sqlite:///junk.db"),
    "database under a file": ("sqlite:///a/mlflow.db", file("a", ""), "sqlite:///a/mlflow.db"),
    "no PostgreSQL": ("postgresql://me@127.0.0.1:{port}/mlflow", nothing, "postgresql://me@127.0.0.1"),
    "unknown scheme": ("gopher://mlflow", nothing, "gopher://mlflow"),
}
MLFLOW = {
    **tracking("compare", AWAY),
    **tracking("train --features {features} --labels {labels} --out model", AWAY),
    **tracking("predict {star} --model models:/xpfeh@champion --out a.fits", AWAY),
    **tracking("rollback", {title: AWAY[title] for title in ("nobody listens", "junk database", "unknown scheme")}),
    "MLflow: no such experiment": Case(
        "compare nonesuch", nothing, "no experiment 'nonesuch' at sqlite:.*there are: .*xpfeh"
    ),
    "MLflow: no run yet": Case("compare", nothing, "experiment 'xpfeh': no run holds a model yet"),
    "MLflow: no such run": Case(
        "promote 12ab34 --features {features} --labels {labels}", nothing, "no run .* begins with '12ab34'"
    ),
    "MLflow: no champion before": Case("rollback", nothing, "no earlier champion"),
    "promote: --force without --why": Case(
        "promote 12ab --features {features} --labels {labels} --force", nothing, "--force and --why belong together"
    ),
    "promote: --why without --force": Case(
        "promote 12ab --features {features} --labels {labels} --why 'I like it'", nothing, "--force and --why"
    ),
    "tune: a name with a blank": Case(
        "tune --features {features} --labels {labels} --name 'a b'",
        nothing,
        "--name 'a b': a name can only have letters",
    ),
    "tune: nothing to resume": Case(
        "tune --features {features} --labels {labels} --resume lost", nothing, "searches/lost: there is no such search"
    ),
    "tune: storage is a file": Case(
        "tune --features {features} --labels {labels} --storage data", file("data", ""), "data.* is a file"
    ),
}


def report(name: str, ids: object, feh: object, answer: object) -> Make:
    return both(folder(name), parquet(f"{name}/stars.parquet", {"source_id": ids, "feh_true": feh, "FEH": answer}))


ONE = report("one", [1, 2], [0.0, -1.0], [0.1, -0.9])
REPORTS = {
    **group(
        "reports",
        "compare --reports one two",
        {
            "missing": (ONE, "two is not a report"),
            "an empty folder": (both(ONE, folder("two")), "two is not a report: it has no stars.parquet"),
            "junk": (both(ONE, file("two/stars.parquet", b"PAR1 no PAR1")), "two/stars.parquet: cannot be read"),
            "other columns": (
                both(ONE, folder("two"), parquet("two/stars.parquet", {"a": [1]})),
                "two/stars.parquet: no",
            ),
            "text": (
                both(ONE, report("two", [1, 2], ["x", "y"], [0.0, 0.0])),
                "two/stars.parquet: feh_true of row 0 is 'x'",
            ),
            "other stars": (both(ONE, report("two", [7], [0.0], [0.0])), "one and two have no star in common"),
            "other truth": (both(ONE, report("two", [1, 2], [0.0, -2.0], [0.0, 0.0])), "one and two: the true"),
        },
    ),
    "reports: in a bucket": Case("compare --reports s3://b/one two", nothing, "s3://b/one: must be a local path"),
    "reports: and a page": Case("compare --reports one two --html a.html", ONE, "--html shows runs and --reports"),
}
