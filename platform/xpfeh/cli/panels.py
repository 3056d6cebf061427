"""The panels of `xpfeh --help`, and the examples at the end of each command's help."""

from __future__ import annotations

ANSWERS = "Answers"
DATA = "Data"
TRAINING = "Training"
CATALOG = "Catalog and endpoint"
TOOLS = "Tools"


def examples(*commands: str) -> str:
    r"""Return the end of a command's help: examples, one per line (Markdown).

    Examples
    --------
    >>> examples("xpfeh flags")
    'Examples:\n```\nxpfeh flags\n```'
    """
    return "\n".join(["Examples:", "```", *commands, "```"])
