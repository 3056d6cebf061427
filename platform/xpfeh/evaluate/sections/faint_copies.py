"""The same stars made fainter: do the errors grow as the noise does?"""

from __future__ import annotations

from xpfeh.evaluate.metrics import summary
from xpfeh.evaluate.section import Section, Table, text_of
from xpfeh.evaluate.study import Study

_FORMS = {"median": "+.3f", "robust_sigma": ".3f", "mae": ".3f", "coverage_68": ".2f", "coverage_95": ".3f"}


def faint_copies(study: Study) -> Section:
    """Return the section on copies of the judging stars with more noise."""
    numbers = {
        name: {label: summary(stars) for label, stars in model.fainter.items()}
        for name, model in study.models.items()
        if model.fainter
    }
    rows = [
        [name if i == 0 else "", label, str(m["n"]), *(text_of(m[key], form) for key, form in _FORMS.items())]
        for name, copies in numbers.items()
        for i, (label, m) in enumerate(copies.items())
        if m["n"]
    ]
    return Section(
        "faint_copies",
        "Consistency check: the same stars made fainter",
        tables=[
            Table(
                ["model", "stars", "n", "median", "robust σ", "MAE", "in 68 %", "in 95 %"],
                rows,
                "A consistency check and no validation: the noise that is added comes from the generator that training "
                "uses. It shows that errors grow as the noise does, not that real faint stars are like these copies.",
                text_columns=2,
            )
        ],
        numbers=numbers,
    )
