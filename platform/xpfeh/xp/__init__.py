"""The physics of a spectrum: NumPy only, arrays in, arrays out."""
