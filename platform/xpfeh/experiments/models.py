"""From a model's name to the folder of its bundle. MLflow is loaded only for a model of its store."""

from __future__ import annotations

from pathlib import Path

from xpfeh.files import absolute, local_path
from xpfeh.inference.bundle import CARD, PRETRAINED, PRETRAINED_FOLDER

STORE = "models:/"
"""Prefix of the names of models in an MLflow store."""


def bundle_folder(model: str | Path) -> Path:
    """Return the local folder of a model's bundle.

    Parameters
    ----------
    model : str or Path
        ``pretrained``, a folder, or ``models:/NAME@ALIAS`` or ``models:/NAME/2`` of the MLflow store.

    Raises
    ------
    UserError
        If the store has no such model.

    Examples
    --------
    >>> bundle_folder("pretrained").name, bundle_folder("models/mine").name
    ('pretrained', 'mine')
    """
    if str(model).startswith(STORE):
        from xpfeh.experiments.registry import fetch

        return fetch(str(model))
    return PRETRAINED_FOLDER if model == PRETRAINED else local_path(model)


def bundle_folders(model: str | Path) -> list[Path]:
    """Return the folder of a model's bundle, or those of the five that `xpfeh cross-validate` left in one folder.

    Parameters
    ----------
    model : str or Path
        As `bundle_folder` takes it, or the folder of a cross-validated recipe: ``judged/models/best``.

    Raises
    ------
    UserError
        As `bundle_folder`.

    Examples
    --------
    >>> len(bundle_folders("pretrained"))
    1
    """
    folder = bundle_folder(model)
    if (folder / CARD).exists():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{CARD}")) or [folder]


def pinned_model(model: str) -> str:
    """Return a name that means the same model later and elsewhere: an alias's version, a folder's absolute path.

    Raises
    ------
    UserError
        If the store has no such alias.
    """
    if model.startswith(STORE):
        from xpfeh.experiments.registry import resolve_alias

        return resolve_alias(model)
    return absolute(str(bundle_folder(model)))
