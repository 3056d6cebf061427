"""The sampled grid of an XP spectrum, in plain numbers: settings and `--help` use them without NumPy.

The array of wavelengths is `xpfeh.xp.grid.WAVELENGTH_NM`.

>>> N_SAMPLES
343
"""

FIRST_NM, LAST_NM, STEP_NM = 336.0, 1020.0, 2.0  # GaiaXPy's default sampling
N_SAMPLES = int((LAST_NM - FIRST_NM) / STEP_NM) + 1
