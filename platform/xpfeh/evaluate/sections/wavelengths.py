"""Which wavelengths determine [Fe/H]."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.evaluate.figures import BLUE, FEH, GREY, RED, by_resolved_range, styled
from xpfeh.evaluate.section import Picture, Section
from xpfeh.evaluate.study import Study

_MIN_FOR_A_LINE = 5  # with fewer, neither median nor range is drawn


def wavelengths(study: Study) -> Section:
    """Return the section on the wavelengths that the first model uses."""
    return Section(
        "wavelengths",
        "Which wavelengths determine [Fe/H]",
        pictures=[
            Picture(
                "sensitivity",
                sensitivity(study.first.stars["feh"], study.spectra.inputs, study.spectra.slopes),
                "The effect of 1 % more flux in 11 nm on [Fe/H], median and central 68 % of the stars. It is negative "
                "in the bands where metals absorb, such as Mg at 517 nm and Ca II at 850 to 866 nm: more light there "
                "means a more metal-poor star.",
            )
        ],
    )


@styled
def sensitivity(feh: NDArray[np.float64], flux: NDArray[np.float32], slopes: NDArray[np.float32]) -> Figure:
    """Draw the effect of 1 % more flux in 11 nm on [Fe/H], from (N, pixels) slopes, for ranges of [Fe/H]."""
    figure, axes = plt.subplots(figsize=(10, 3.8))
    wavelength, change = by_resolved_range(flux, slopes)
    for label, chosen, colour in (
        (f"{FEH} < −1.5", feh < -1.5, BLUE),
        (f"−1.5 ≤ {FEH} < −0.5", (feh >= -1.5) & (feh < -0.5), GREY),
        (f"{FEH} ≥ −0.5", feh >= -0.5, RED),
    ):
        if chosen.sum() >= _MIN_FOR_A_LINE:
            low, middle, high = np.percentile(change[chosen], [16, 50, 84], axis=0)  # (stars, pixels) -> (3, pixels)
            axes.plot(wavelength, middle, color=colour, label=label)
            axes.fill_between(wavelength, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel="wavelength (nm)", ylabel=f"change of {FEH} (dex)\nfor +1 % flux in 11 nm")
    axes.legend(ncols=3, loc="upper right", fontsize=9)
    return figure
