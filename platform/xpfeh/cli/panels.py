"""The panels of `xpfeh --help`, and the examples that end each command's help."""

from __future__ import annotations

ANSWERS = "Answers"
DATA = "Data"
TRAINING = "Training"
CATALOG = "Catalog and endpoint"
TOOLS = "Tools"


def examples(*commands: str) -> str:
    r"""Return the end of a command's help: examples, a line each (Markdown).

    Examples
    --------
    >>> examples("xpfeh flags")
    'Examples:\n```\nxpfeh flags\n```'
    """
    return "\n".join(["Examples:", "```", *commands, "```"])
