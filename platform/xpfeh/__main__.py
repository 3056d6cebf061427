"""``python -m xpfeh``: the command line."""

from xpfeh.cli import main

main()
