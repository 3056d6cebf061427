"""Numbers and pictures that say how good a model is."""
