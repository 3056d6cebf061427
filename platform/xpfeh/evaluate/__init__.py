"""Numbers and figures that show how good a model is."""
