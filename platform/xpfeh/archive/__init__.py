"""Everything that needs a network: Gaia's archive, VizieR, dust maps."""
