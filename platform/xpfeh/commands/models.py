"""From what a user calls a model to the folder of its bundle."""

from __future__ import annotations

from pathlib import Path

from xpfeh.inference.bundle import folder_of


def bundle_of(model: str | Path) -> Path:
    """Return the folder of a model's bundle.

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
    >>> bundle_of("pretrained").name, bundle_of("models/mine").name
    ('pretrained', 'mine')
    """
    if str(model).startswith("models:/"):
        from xpfeh.experiments.registry import local_bundle  # MLflow, which a store alone needs

        return local_bundle(str(model))
    return folder_of(model)
