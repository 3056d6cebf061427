"""``ray job submit -- python jobs/catalog.py --features URI --model M --out URI``: features to a catalog."""

from xpfeh.cli import job

job("catalog run")
