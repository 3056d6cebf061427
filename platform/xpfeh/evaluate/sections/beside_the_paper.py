"""Our numbers beside those that the paper gives (sections 4.2 and 4.3), each on the stars that there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpfeh.evaluate.residuals import residual_numbers
from xpfeh.evaluate.section import Section, Table, text_of
from xpfeh.evaluate.sections.clusters import cluster_numbers
from xpfeh.evaluate.slices import from_literature
from xpfeh.evaluate.study import Stars, Study, rows_of

PAPER_CLUSTERS = {
    "NGC 6397": (-2.20, 0.17),
    "NGC 6752": (-1.57, 0.14),
    "NGC 5904": (-1.28, 0.17),
    "NGC 2682": (0.01, 0.09),
    "NGC 6791": (0.26, 0.10),
}
"""Mean and scatter of the paper's [Fe/H] (Fig. 9), dex."""


@dataclass(frozen=True)
class _Test:
    """A test of the paper: its sample and width (dex), the catalog it needs, and which of its stars it takes."""

    title: str
    paper: str
    sigma: float
    reference: str
    chosen: Callable[[Stars], NDArray[np.bool_]] = lambda stars: np.isfinite(stars["feh"])


_TESTS = (
    _Test("SAGA (the paper: its test stars)", "649", 0.22, "saga"),
    _Test(
        "Viswanathan et al. 2024, VMP, G < 13", "1,276", 0.17, "viswanathan2024", lambda s: s["phot_g_mean_mag"] < 13
    ),
    _Test("SDSS/SEGUE, [Fe/H] < −2", "of 18,478", 0.35, "segue", lambda s: s["feh"] < -2),
    _Test("LAMOST DD-Payne, [Fe/H] < −2", "of 433,128", 0.25, "lamost-ddpayne", lambda s: s["feh"] < -2),
    _Test("Hong et al. 2024, [Fe/H] < −2", "771", 0.24, "hong2024", lambda s: s["feh"] < -2),
)
_HEAD = ("test", "paper: stars", "paper: σ", "ours: stars", "Gauss σ", "robust σ", "std", "Gauss mean")


def beside_the_paper(study: Study) -> Section:
    """Return the section with the paper's numbers and the first model's."""
    model = study.first
    numbers: dict[str, Any] = {}
    rows = []

    def add(title: str, paper: str, sigma: float, stars: Stars | None, missing: str = "not given") -> None:
        found = residual_numbers(stars) if stars is not None else {"n": 0}
        numbers[title] = found
        row = [title, paper, text_of(sigma, ".2f")]
        if found["n"]:
            row += [f"{found['n']:,}", *(text_of(found[key], ".3f", found[f"{key}_se"])
                    for key in ("gauss_sigma", "robust_sigma", "std")),
                    text_of(found["gauss_mean"], "+.3f", found["gauss_mean_se"])]  # fmt: skip
        else:
            row += [missing, "–", "–", "–", "–"]
        rows.append(row)

    by_name = {reference.name: reference for reference in study.references}
    pastel = by_name["pastel"].stars if "pastel" in by_name else None
    nothing = float("nan")
    in_sample = model.in_sample or None
    add(f"training stars, in-sample (paper: PASTEL; ours: {study.truth})", "1,012", 0.09, in_sample, "not asked")
    add(f"the same kind of stars, held out ({study.truth})", "–", nothing, model.stars)
    add("PASTEL, held out", "–", nothing, pastel)
    add("literature below −2, held out", "–", nothing, _literature(model.stars))
    for test in _TESTS:
        stars = by_name[test.reference].stars if test.reference in by_name else None
        chosen = None if stars is None else rows_of(stars, test.chosen(stars))
        add(test.title, test.paper, test.sigma, chosen)
    tables = [
        Table(
            _HEAD,
            rows,
            "The paper's widths are Gaussian fits. Its 0.09 dex for PASTEL is that of its training stars: a network "
            "that has seen a star's label says nothing of how well it knows new ones. Ours in-sample stands beside "
            "it, and both held out; the labels differ (PASTEL there, APOGEE and literature here), so that only the "
            "other rows compare.",
            name="beside_the_paper",
        ),
        Table(["cluster", "paper: mean (σ)", "ours: n", "mean", "σ", "literature"], _cluster_rows(study),
              "Open clusters (NGC 2682, 6791) are not in the table of globular clusters."),
    ]  # fmt: skip
    return Section(
        "beside_the_paper",
        "Beside the paper's numbers",
        "The paper counts its very and extremely metal-poor stars twice: 360,000 and 50,000 in the abstract, "
        "1,089,712 and 369,269 in section 4.3. They disagree, and we match neither: a count below a threshold "
        "depends on the errors there, see the final sample.",
        tables,
        numbers=numbers,
    )


def _literature(stars: Stars) -> dict[str, NDArray]:
    return rows_of(stars, from_literature(stars["reference"]) & (stars["feh"] < -2))


def _cluster_rows(study: Study) -> list[list[str]]:
    ours: Mapping[str, Mapping[str, float]] = {
        each.cluster.name: cluster_numbers(study.first.asked, each) for each in study.clusters or ()
    }
    rows = []
    for name, (mean, sigma) in PAPER_CLUSTERS.items():
        row = [name, f"{text_of(mean, '+.2f')} ({sigma:.2f})"]
        if name in ours:
            one = ours[name]
            row += [str(one["n"]), text_of(one["mean"], "+.2f", one["mean_se"]), text_of(one["sigma"], ".2f"),
                    text_of(one["literature"], "+.2f")]  # fmt: skip
        else:
            row += ["none" if study.clusters is not None else "not given", "–", "–", "–"]
        rows.append(row)
    return rows
