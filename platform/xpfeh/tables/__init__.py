"""One reader and one writer of every table format: whoever reads a file, the same guards hold."""
