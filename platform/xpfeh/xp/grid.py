"""The wavelengths of a sampled XP spectrum: 343, from 336 to 1020 nm in steps of 2 nm.

>>> WAVELENGTH_NM.size, float(WAVELENGTH_NM[0]), float(WAVELENGTH_NM[-1])
(343, 336.0, 1020.0)
"""

import numpy as np

from xpfeh.grid import FIRST_NM, LAST_NM, N_SAMPLES

WAVELENGTH_NM = np.linspace(FIRST_NM, LAST_NM, N_SAMPLES)
WAVELENGTH_NM.setflags(write=False)
