"""A finished catalog to what others load: Parquet, HATS, FITS and VOTable, in the order of the sky."""
