"""``python -m xpfeh``: the command line."""

from xpfeh.cli.main import main

main()
