"""The physics of a spectrum: arrays in, arrays out."""
