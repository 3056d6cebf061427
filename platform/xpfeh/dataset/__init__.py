"""A dataset on disk or in a bucket: its plan, its ledger, its parts; status and verification. No Ray."""
