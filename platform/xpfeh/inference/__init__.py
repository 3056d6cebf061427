"""From features to [Fe/H] with its errors: the bundle, its card, the predictor."""
