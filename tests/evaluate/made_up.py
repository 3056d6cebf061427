"""Made-up held-out stars with predictions, and the card of a model that was never trained."""

from types import SimpleNamespace

import numpy as np
from xpfeh.evaluate.study import Judged, Spectra, Study
from xpfeh.flags import Flag, is_good
from xpfeh.labels.sample import Split
from xpfeh.settings import RECIPES
from xpfeh.xp.pixels import flux_pixels

STARS_PER_CELL = 4
ONE_CELL = 2**49  # source_ids: HEALPix level 5


def gaussian(residual: np.ndarray, error: np.ndarray) -> dict[str, np.ndarray]:
    """Return stars of true [Fe/H] 0 and predictions with Gaussian intervals."""
    ends = {f"FEH_{end}{level}": residual + k * error for end, level, k in
            (("lo", 68, -1), ("hi", 68, 1), ("lo", 95, -1.96), ("hi", 95, 1.96))}  # fmt: skip
    return {"feh": np.zeros(len(residual)), "FEH": residual, "FEH_err": error, **ends}


def in_cells(n: int) -> np.ndarray:
    """Return source_ids of n stars, four in each cell of the sky."""
    return np.arange(n) // STARS_PER_CELL * ONE_CELL + np.arange(n)


def held_out(n: int = 400, poor: int = 40, scatter: float = 0.08, seed: int = 0) -> dict[str, np.ndarray]:
    """Return stars with all columns of a report: the last `poor` are metal-poor, open below -3, null below -3.6."""
    rng = np.random.default_rng(seed)
    truth = np.r_[rng.uniform(-1.2, 0.4, n - poor), rng.uniform(-3.9, -1.6, poor)]
    stars = gaussian(scatter * rng.standard_normal(n), np.full(n, scatter))
    answers = {name: values + truth for name, values in stars.items() if name not in ("feh", "FEH_err")}
    flags = np.zeros(n, dtype=np.uint32)
    flags[rng.random(n) < 0.05] |= np.uint32(Flag.ODD_SN)
    for level in (95, 68):
        is_open = answers[f"FEH_lo{level}"] < -3
        answers[f"FEH_lo{level}"][is_open] = np.nan
        flags[is_open] |= np.uint32(Flag.FEH_EDGE)
    error = np.where(np.isnan(answers["FEH_lo68"]), np.nan, stars["FEH_err"])
    silent = answers["FEH"] < -3.6
    for values in (*answers.values(), error):
        values[silent] = np.nan
    flux = 1 + 0.1 * rng.standard_normal((n, 343)).astype(np.float32)
    return {
        "source_id": in_cells(n),
        "ra": rng.uniform(0, 360, n),
        "dec": rng.uniform(-90, 90, n),
        "l": rng.uniform(0, 360, n),
        "b": rng.choice([-1, 1], n) * rng.uniform(20, 90, n),
        "judges": np.ones(n, dtype=bool),
        "snr": rng.uniform(20, 300, n),
        "logg": rng.uniform(0.5, 3.5, n),
        "m_g": np.full(n, np.nan),
        "feh": truth,
        "feh_err": np.full(n, 0.02),
        "phot_g_mean_mag": rng.uniform(9, 15, n),
        "bp_rp0": rng.uniform(0.9, 1.5, n),
        "ebv": rng.uniform(0, 0.2, n),
        "teff": rng.uniform(4000, 5200, n),
        "alpha_m": np.where(np.arange(n) < n - poor, rng.uniform(0, 0.3, n), np.nan),
        "reference": np.where(np.arange(n) < n - poor // 2, "APOGEE DR17", "Made-Up et al. 2025"),
        "flags": flags,
        "domain_score": rng.random(n),
        "flux": flux,
        "flux_error": np.full_like(flux, 0.1),
        **answers,
        "FEH_err": error,
    }


def whole_sky(n: int = 1200, seed: int = 0) -> dict[str, np.ndarray]:
    """Return held-out stars behind all amounts of dust, every fourth a dwarf; only giants behind little dust judge."""
    rng = np.random.default_rng(seed + 100)
    stars = held_out(n, poor=0, seed=seed)
    ebv = np.resize([0.1, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0], n)
    dwarf = np.arange(n) % 4 == 3
    logg = np.where(dwarf, rng.uniform(4.0, 4.7, n), rng.uniform(0.5, 3.0, n))
    answers = {
        "TEFF": stars["teff"] + 80 * rng.standard_normal(n),
        "LOGG": logg + 0.1 * rng.standard_normal(n),
        "ALPHA_M": stars["alpha_m"] + 0.05 * rng.standard_normal(n),
    }
    errors = {"TEFF_err": np.full(n, 80.0), "LOGG_err": np.full(n, 0.1), "ALPHA_M_err": np.full(n, 0.05)}
    flags = stars["flags"] | np.where(answers["LOGG"] >= 3.5, np.uint32(Flag.NOT_GIANT), np.uint32(0))
    place = {"logg": logg, "ebv": ebv, "b": np.where(ebv < 0.5, 40.0, 2.0), "judges": (ebv < 0.2) & ~dwarf}
    return {**stars, **place, **answers, **errors, "flags": flags, "good": is_good(flags, whole_sky=True)}


def study(truth: str = "APOGEE", looks: int | None = 3, **models: dict[str, np.ndarray]) -> Study:
    """Return the input of a report on made-up stars, including the first model's spectra."""
    judged = {}
    for name, stars in models.items():
        unseen = {column: values for column, values in stars.items() if column not in ("flux", "flux_error")}
        judged[name] = Judged([card(f"{name}-0123")], unseen, unseen, {"as if G=17": unseen})
    first = next(iter(models.values()))
    flux = first["flux"][first["judges"]]
    slopes = np.random.default_rng(0).normal(0, 1, (len(flux), 60)).astype(np.float32)
    return Study(judged, Spectra(flux, flux_pixels(flux, 60), slopes), truth, looks)


def card(version: str) -> SimpleNamespace:
    """Return the parts of a model's card that a report reads."""
    return SimpleNamespace(
        version=version,
        recipe=RECIPES["best"],
        stars_left={"features": 1000},
        stars=[("train", 600), ("validation", 100), ("test", 300)],
        features="f" * 16,
        preprocess=SimpleNamespace(correction="uncorrected", dust_map="sfd-nside64"),
        labels_sha256="0" * 64,
        split=Split(salt="made-up", healpix_level=5, test_fold=4),
        made_by={"xpfeh": "0.1.0"},
    )
