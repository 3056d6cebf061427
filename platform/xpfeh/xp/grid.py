"""The sampled grid of an XP spectrum: 343 wavelengths, 336 to 1020 nm in steps of 2 nm (GaiaXPy's default).

>>> WAVELENGTH_NM.size, float(WAVELENGTH_NM[0]), float(WAVELENGTH_NM[-1])
(343, 336.0, 1020.0)
"""

import numpy as np

WAVELENGTH_NM = np.arange(336.0, 1021.0, 2.0)
WAVELENGTH_NM.setflags(write=False)
