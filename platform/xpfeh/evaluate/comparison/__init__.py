"""Runs of recipes side by side, as a table and as one page."""
