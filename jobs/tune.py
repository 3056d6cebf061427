"""``ray job submit -- python jobs/tune.py --features URI --labels FILE --trials N``: search hyperparameters."""

from xpfeh.cli.main import job

job("tune")
