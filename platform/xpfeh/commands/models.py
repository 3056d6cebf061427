"""From what a user calls a model to the folder of its bundle, or of those that share the sky."""

from __future__ import annotations

from pathlib import Path

from xpfeh.inference.bundle import CARD, folder_of


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


def bundles_of(model: str | Path) -> list[Path]:
    """Return the folders of a model's bundle, or of the five that `xpfeh cross-validate` left in one folder.

    Parameters
    ----------
    model : str or Path
        As `bundle_of` takes it, or the folder of a cross-validated recipe: ``judged/models/best``.

    Raises
    ------
    UserError
        As `bundle_of`.

    Examples
    --------
    >>> len(bundles_of("pretrained"))
    1
    """
    folder = bundle_of(model)
    return (
        [folder] if (folder / CARD).exists() else sorted(path.parent for path in folder.glob(f"*/{CARD}")) or [folder]
    )
