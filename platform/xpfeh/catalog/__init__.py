"""Publishes a finished catalog as Parquet, HATS, FITS, VOTable or CDS files, in HEALPix order."""
