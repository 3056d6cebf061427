"""Sources of spectra: one reader each, all with the same columns."""
