"""The same stars made fainter: do the uncertainties grow as the noise does?"""

from __future__ import annotations

from xpfeh.evaluate.metrics import summary
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.section import Section
from xpfeh.evaluate.study import Study

_SHOWN = ("n", "mae", "median", "robust_sigma", "coverage_68", "coverage_95")


def faint_copies(study: Study) -> Section:
    """Return the section on copies of the judging stars with more noise."""
    numbers = {
        name: {label: summary(stars) for label, stars in model.fainter.items()}
        for name, model in study.models.items()
        if model.fainter
    }
    rows = [([name, label], m) for name, copies in numbers.items() for label, m in copies.items() if m["n"]]
    note = (
        "A consistency check and not a validation: the noise that is added comes from the generator that training "
        "uses. It shows that uncertainties grow as the noise does, not that real faint stars are like these copies."
    )
    return Section(
        "faint_copies",
        "Consistency check: the same stars made fainter",
        tables=[number_table(["model", "stars"], _SHOWN, rows, note)],
        numbers=numbers,
    )
