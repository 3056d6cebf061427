"""``ray job submit -- python jobs/validate.py --model M --features URI --labels FILE --out DIR``: judge a model."""

from xpfeh.cli.main import job

job("validate")
