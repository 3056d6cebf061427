"""``ray job submit -- python jobs/catalog.py --features URI --model M --out URI``: features to a catalog."""

from xpfeh.cli.main import job

job("catalog run")
