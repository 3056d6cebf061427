"""Settings of features and of training."""

from __future__ import annotations

from collections.abc import Mapping

from xpfeh.sources.library import NAME

from tests.cli.bad_input.case import (
    Case,
    nothing,
)


def settings(command: str, wrong: Mapping[str, str]) -> dict[str, Case]:
    return {f"--set {pair}": Case(f"{command} --set '{pair}'", nothing, message) for pair, message in wrong.items()}


SETTINGS = {
    **settings(
        f"ingest {NAME} --out new/features",
        {
            "n_pixels=60": "--set n_pixels=60: no setting of that name.* normalise_nm",
            "normalise_nm": "--set normalise_nm: no setting of that name. Write NAME=VALUE",
            "normalise_nm=[100, 200]": "setting normalise_nm: .*between 336 and 1020 nm",
            "normalise_nm=[560, 540]": "normalise_nm",
            "normalise_nm=[540.5, 541.5]": "normalise_nm",
            "normalise_nm=[NaN, 560]": "setting normalise_nm",
            "normalise_nm=550": "setting normalise_nm",
            "normalise_nm=[550]": "setting normalise_nm",
            "r_g=1e400": "setting r_g: .*finite",
            "r_bp=-1": "setting r_bp: .*greater than or equal to 0",
            "sun_height_pc=inf": "setting sun_height_pc: ",
            "dust_map=planck": "setting dust_map: .*'sfd-nside64' or 'sfd'",
            "dust_map=sfd": "xpfeh fetch sfd",
            "correction=huang2024": "untruc_interC2_CM.csv",
            "release=dr5": "setting release",
        },
    ),
    **settings(
        "ingest {star} --out new/features", {"release=dr4": "star.csv: holds DR3 spectra, but the settings are for DR4"}
    ),
    **settings(
        "train --features {features} --labels {labels} --out new/model --recipe paper",
        {
            "learning_rate=1e400": "setting learning_rate: .*finite",
            "learning_rate=NaN": "setting learning_rate",
            "learning_rate=-1": "setting learning_rate: .*greater than 0",
            "learning_rate=1e30": "setting learning_rate: .*less than or equal to 1",
            "pixels=60": "--set pixels=60: no setting of that name.* n_pixels",
            "n_pixels": "--set n_pixels: no setting of that name. Write NAME=VALUE",
            "n_pixels=many": "setting n_pixels: .*integer",
            "n_pixels=60.5": "setting n_pixels: .*integer",
            "n_pixels=1000": "setting n_pixels: .*less than or equal to 343",
            "n_pixels=-1": "setting n_pixels: .*greater than or equal to 2",
            "n_pixels=NaN": "setting n_pixels",
            "cost_bins=[0, 0]": "setting cost_bins.0: .*greater than 0",
            "cost_bins=[-3, 5]": "setting cost_bins",
            "cost_bins=[10]": "setting cost_bins",
            "cost_gamma=1e400": "setting cost_gamma: .*finite",
            "hidden=[0]": "settings: layer widths must be at least 1$",
            "hidden=256": "setting hidden",
            "members=0": "setting members: .*greater than or equal to 1",
            "members=1.5": "setting members",
            "folds=5": "settings: folds must be 0 .* members a multiple of folds, at least twice as large$",
            "folds=-1": "setting folds: .*greater than or equal to 0",
            "cross_fit=true": "--set cross_fit=true: no setting of that name.* folds",
            "components=344": "setting components: .*less than or equal to 343",
            "components=61": "settings: components cannot be more than n_pixels$",
            "keep=best": "setting keep: .*'lowest' or 'last'",
            "dust=kept": "setting dust: .*'removed' or 'hint'",
            "stars=wide": "setting stars: .*'paper' or 'all'",
            "further_labels=-1": "setting further_labels: .*greater than or equal to 0",
            "ebv_input=true": "--set ebv_input=true: no setting of that name",
            "label_errors=0.1": "setting label_errors: .*boolean",
            "seed=-1": "setting seed: .*greater than or equal to 0",
            "steps=0": "setting steps",
            "l2=NaN": "setting l2",
            "noise=-0.1": "setting noise",
            "clip_norm=1e400": "setting clip_norm: .*finite",
            "activation=sin": "setting activation",
            "schedule=[1, 2]": "setting schedule",
        },
    ),
    "an unknown recipe": Case(
        "train --features {features} --labels {labels} --out model --recipe papier", nothing, "recipe 'papier'"
    ),
}
