"""Where spectra come from: one column schema, a reader each."""
