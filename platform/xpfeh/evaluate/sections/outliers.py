"""The largest residuals one by one, and how many of them the flags catch."""

from __future__ import annotations

import numpy as np

from xpfeh.evaluate.metrics import CATASTROPHIC
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.section import Section
from xpfeh.evaluate.slices import ALL, UNFLAGGED, unflagged
from xpfeh.evaluate.study import Study
from xpfeh.flags import INFORMATIVE, MEANING, Flag

_SHOWN = 20
_OF_A_STAR = ("feh", "FEH", "FEH_err", "phot_g_mean_mag", "bp_rp0", "ebv")


def outliers(study: Study) -> Section:
    """Return the section on the first model's residuals beyond 0.5 dex."""
    stars = study.first.stars
    residual = np.abs(stars["FEH"] - stars["feh"])
    worst = residual > CATASTROPHIC
    groups = {ALL: np.ones_like(worst), UNFLAGGED: unflagged(stars["flags"])}
    by_flag = {str(flag.name): (stars["flags"] & np.uint32(flag)) > 0 for flag in MEANING if not flag & INFORMATIVE}
    counts = {
        name: {"n": int(has.sum()), "catastrophic": int((has & worst).sum()), "share": float(worst[has].mean())}
        for name, has in (groups | by_flag).items()
        if has.any()
    }
    first = np.argsort(-np.nan_to_num(residual))[: min(_SHOWN, int(worst.sum()))]
    rows = [
        (
            _words(stars["source_id"][i], stars["reference"][i], stars["flags"][i]),
            {key: float(stars[key][i]) for key in _OF_A_STAR},
        )
        for i in first
    ]
    return Section(
        "outliers",
        f"Residuals beyond {CATASTROPHIC:g} dex",
        "Wrong labels, blends and unusual spectra. The flags should catch them: a flag is useful if its stars are "
        "wrong more often than other stars.",
        tables=[
            number_table(["stars"], ("n", "catastrophic", "share"), [([name], one) for name, one in counts.items()]),
            number_table(["source_id", "source of the label", "flags"], _OF_A_STAR, rows, "Largest first."),
        ],
        numbers={
            "beyond": int(worst.sum()),
            "n": len(worst),
            "by_flag": {
                name: {"stars": one["n"], "beyond": one["catastrophic"]}
                for name, one in counts.items()
                if name in by_flag
            },
        },
    )


def _words(source_id: np.int64, reference: str, flags: np.uint32) -> list[str]:
    first_source = str(reference).split(";")[0][:28]
    return [str(source_id), first_source or "–", ", ".join(str(flag.name) for flag in Flag if int(flags) & flag)]
