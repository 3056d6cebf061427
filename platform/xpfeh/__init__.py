"""[Fe/H] of giant stars, with errors that are true, from Gaia XP spectra: "XP to [Fe/H]"."""

from xpfeh.environment import set_defaults

__version__ = "0.1.0"

set_defaults()
