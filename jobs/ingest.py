"""``ray job submit -- python jobs/ingest.py SOURCE... --out URI``: spectra to features."""

from xpfeh.cli.main import job

job("ingest")
