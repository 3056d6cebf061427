"""From features to [Fe/H] and its errors: the bundle, its card, the predictor."""
