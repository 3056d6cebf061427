"""Where true [Fe/H] comes from, and which stars may teach or test a model."""
