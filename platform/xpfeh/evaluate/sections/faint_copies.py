"""The same stars made fainter: do the uncertainties grow with the noise?"""

from __future__ import annotations

from xpfeh.evaluate.metrics import summary
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.section import Section
from xpfeh.evaluate.study import Study

_SHOWN = ("n", "mae", "median", "robust_sigma", "coverage_68", "coverage_95")


def faint_copies(study: Study) -> Section:
    """Return the section on noisier copies of the judging stars."""
    numbers = {
        name: {label: summary(stars) for label, stars in model.fainter.items()}
        for name, model in study.models.items()
        if model.fainter
    }
    rows = [([name, label], m) for name, copies in numbers.items() for label, m in copies.items() if m["n"]]
    note = (
        "A consistency check, not a validation: the added noise comes from the generator used in training. It shows "
        "that uncertainties grow with the noise, not that real faint stars resemble these copies."
    )
    return Section(
        "faint_copies",
        "Consistency check: the same stars made fainter",
        tables=[number_table(["model", "stars"], _SHOWN, rows, note)],
        numbers=numbers,
    )
