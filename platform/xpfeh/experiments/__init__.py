"""Ray Tune and MLflow: searches, runs, and the registered champion."""
