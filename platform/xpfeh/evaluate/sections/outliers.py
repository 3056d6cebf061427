"""The worst answers one by one, and how many of them the flags tell of."""

from __future__ import annotations

import numpy as np

from xpfeh.evaluate.metrics import CATASTROPHIC
from xpfeh.evaluate.section import Section, Table, text_of
from xpfeh.evaluate.slices import unflagged
from xpfeh.evaluate.study import Study, rows_of
from xpfeh.flags import INFORMATIVE, MEANING, Flag

_SHOWN = 20


def outliers(study: Study) -> Section:
    """Return the section on the first model's residuals beyond 0.5 dex."""
    stars = study.first.stars
    residual = np.abs(stars["FEH"] - stars["feh"])
    worst = residual > CATASTROPHIC
    telling = [flag for flag in MEANING if not flag & INFORMATIVE and (stars["flags"] & np.uint32(flag)).any()]
    by_flag = {
        str(flag.name): {"stars": int(has.sum()), "beyond": int((has & worst).sum())}
        for flag in telling
        for has in [(stars["flags"] & np.uint32(flag)) > 0]
    }
    calm = unflagged(stars["flags"])
    rates = [
        [name, f"{n['stars']:,}", str(n["beyond"]), text_of(n["beyond"] / n["stars"], ".1%")]
        for name, n in ({"all": {"stars": len(worst), "beyond": int(worst.sum())},
                         "unflagged": {"stars": int(calm.sum()), "beyond": int((calm & worst).sum())}}
                        | by_flag).items()
        if n["stars"]
    ]  # fmt: skip
    first = np.argsort(-np.nan_to_num(residual))[: min(_SHOWN, int(worst.sum()))]
    return Section(
        "outliers",
        f"Residuals beyond {CATASTROPHIC:g} dex",
        "Wrong labels, blends and strange spectra. The flags should tell of them: a flag is of use where its stars go "
        "wrong more often than all stars do.",
        tables=[
            Table(["stars", "n", "beyond 0.5 dex", "share"], rates),
            Table(
                ["source_id", "true", "label of", "predicted", "± error", "G", "(BP−RP)₀", "E(B−V)", "flags"],
                [_row(rows_of(stars, np.array([i]))) for i in first],
                "The largest, first.",
            ),
        ],
        numbers={"beyond": int(worst.sum()), "n": len(worst), "by_flag": by_flag},
    )


def _row(star: dict[str, np.ndarray]) -> list[str]:
    flags = [str(flag.name) for flag in Flag if int(star["flags"][0]) & flag]
    return [
        str(star["source_id"][0]),
        text_of(star["feh"][0], ".2f"),
        str(star["reference"][0]).split(";")[0][:28] or "–",
        text_of(star["FEH"][0], ".2f"),
        text_of(star["FEH_err"][0], ".2f"),
        text_of(star["phot_g_mean_mag"][0], ".1f"),
        text_of(star["bp_rp0"][0], ".2f"),
        text_of(star["ebv"][0], ".2f"),
        ", ".join(flags),
    ]
