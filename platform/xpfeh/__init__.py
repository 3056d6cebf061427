"""xpfeh: metallicities [Fe/H] of giant stars from Gaia XP spectra, with errors that are true."""

__version__ = "0.1.0"
