"""Our numbers compared with those in the paper (sections 4.2 and 4.3), each on the available stars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.residuals import residual_numbers
from xpfeh.evaluate.section import Section, text_of
from xpfeh.evaluate.sections.clusters import cluster_numbers
from xpfeh.evaluate.slices import from_literature
from xpfeh.evaluate.study import Study
from xpfeh.typing import Columns

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
    """A test in the paper: its number of stars and width (dex), the catalog it needs, and the stars selected there."""

    title: str
    paper: str
    sigma: float
    reference: str
    chosen: Callable[[Columns], NDArray[np.bool_]] = lambda stars: np.isfinite(stars["feh"])


_TESTS = (
    _Test("SAGA (the paper: its test stars)", "649", 0.22, "saga"),
    _Test(
        "Viswanathan et al. 2024, VMP, G < 13", "1,276", 0.17, "viswanathan2024", lambda s: s["phot_g_mean_mag"] < 13
    ),
    _Test("SDSS/SEGUE, [Fe/H] < −2", "of 18,478", 0.35, "segue", lambda s: s["feh"] < -2),
    _Test("LAMOST DD-Payne, [Fe/H] < −2", "of 433,128", 0.25, "lamost-ddpayne", lambda s: s["feh"] < -2),
    _Test("Hong et al. 2024, [Fe/H] < −2", "771", 0.24, "hong2024", lambda s: s["feh"] < -2),
)
_LABELS = ("test", "paper: stars", "paper: σ")
_NUMBERS = ("n", "gauss_sigma", "robust_sigma", "std", "gauss_mean")


def compared_with_paper(study: Study) -> Section:
    """Return the section with the paper's numbers and the first model's."""
    model = study.first
    by_name = {reference.name: reference.stars for reference in study.references}
    tests: list[tuple[tuple[str, str, str], Columns | None]] = [
        (
            (f"training stars, in-sample (paper: PASTEL; ours: {study.truth})", "1,012", "0.09"),
            model.in_sample or None,
        ),
        ((f"the same kind of stars, held out ({study.truth})", "–", "–"), model.stars),
        (("PASTEL, held out", "–", "–"), by_name.get("pastel")),
        (("literature below −2, held out", "–", "–"), _literature(model.stars)),
    ]
    for test in _TESTS:
        stars = by_name.get(test.reference)
        chosen = None if stars is None else rows_of(stars, test.chosen(stars))
        tests.append(((test.title, test.paper, text_of(test.sigma, ".2f")), chosen))
    rows = [(words, {} if stars is None else residual_numbers(stars)) for words, stars in tests]
    tables = [
        number_table(
            _LABELS,
            _NUMBERS,
            rows,
            "The paper's widths are Gaussian fits. Its 0.09 dex for PASTEL is for its training stars: residuals of "
            "stars whose labels a network has seen do not show how well it predicts new ones. Ours are listed "
            "in-sample and held out; the labels differ (PASTEL there, APOGEE and literature here), so only the other "
            "rows are comparable. –: not provided, or too few stars.",
            "compared_with_paper",
        ),
        number_table(
            ("cluster", "paper: mean (σ)"),
            ("n", "mean", "sigma", "literature"),
            _clusters(study),
            "Open clusters (NGC 2682, 6791) are not in the table of globular clusters.",
        ),
    ]
    return Section(
        "compared_with_paper",
        "Compared with the paper",
        "The paper counts its very and extremely metal-poor stars twice: 360,000 and 50,000 in the abstract, "
        "1,089,712 and 369,269 in section 4.3. The counts disagree, and we try to match neither: a count below a "
        "threshold depends on the uncertainties there; see the final sample.",
        tables,
        numbers={words[0]: found or {"n": 0} for words, found in rows},
    )


def _literature(stars: Columns) -> dict[str, NDArray]:
    return rows_of(stars, from_literature(stars["reference"]) & (stars["feh"] < -2))


def _clusters(study: Study) -> list[tuple[tuple[str, str], Mapping[str, float]]]:
    ours = {each.cluster.name: cluster_numbers(study.first.unseen, each) for each in study.clusters or ()}
    return [
        ((name, f"{text_of(mean, '+.2f')} ({sigma:.2f})"), ours.get(name, {}))
        for name, (mean, sigma) in PAPER_CLUSTERS.items()
    ]
