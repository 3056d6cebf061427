"""The package's version, on the ground floor: what records it need not import the public functions."""

__version__ = "0.1.0"
