"""Labels: sources of true [Fe/H], and which stars may train or test a model."""
