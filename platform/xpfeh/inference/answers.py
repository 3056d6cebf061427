"""An ensemble's predictions for stars, by name: the same code for arrays in training and for a graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xpfeh.inference.further_labels import FURTHER_LABELS
from xpfeh.inference.stretch import Stretch
from xpfeh.typing import AnyArray

Answers = Mapping[str, AnyArray]
"""(B,) arrays of NumPy or of a graph: ``feh``, ``aleatoric`` and ``epistemic``: the mean, the root of the mean
variance, and the deviation between the members, dex; ``noise``, mean error over mean flux; ``ebv``, mag; and for each
of `FURTHER_LABELS` that was learned ``teff``, ``teff_aleatoric``, ``teff_epistemic`` and so on, in network units."""

_DARKEST = 1e-3  # of a flux that is 1 around 550 nm; keeps the noise of a spectrum without flux finite


def answers_of(
    mean: AnyArray, sigma: AnyArray, deviation: AnyArray, inputs: Mapping[str, AnyArray], stretch: Stretch
) -> dict[str, AnyArray]:
    """Return the `Answers` of B stars.

    Parameters
    ----------
    mean, sigma, deviation : (B, L) arrays
        For the ensemble: the mean of its members' means, the root of their mean variance, and the deviation between
        their means; [Fe/H] in dex, then the further labels, if any.
    inputs : mapping of arrays
        As returned by `xpfeh.inference.inputs.network_inputs`.
    stretch : Stretch
    """
    feh, flux = mean[:, 0], inputs["flux"]
    xp = feh.__array_namespace__()
    answers = {
        "feh": stretch.feh(feh),
        "aleatoric": stretch.errors(feh, sigma[:, 0]),
        "epistemic": stretch.errors(feh, deviation[:, 0]),
        "noise": _mean(inputs["flux_error"]) / xp.maximum(_mean(flux), _DARKEST),
        "ebv": inputs["ebv"],
    }
    for i in range(1, mean.shape[1]):
        name = FURTHER_LABELS[i - 1].name
        answers |= {name: mean[:, i], f"{name}_aleatoric": sigma[:, i], f"{name}_epistemic": deviation[:, i]}
    return answers


def _mean(spectra: AnyArray) -> AnyArray:
    """Return the (B,) means of (B, pixels) spectra.

    Computed as a matrix product: ONNX Runtime sums 343 pixels in an order that depends on a row's place in memory, and
    then a star's bytes would depend on its place in the batch.
    """
    xp, n_pixels = spectra.__array_namespace__(), spectra.shape[1]
    return xp.matmul(spectra, xp.asarray(np.full((n_pixels, 1), 1 / n_pixels, dtype=np.float32)))[:, 0]
