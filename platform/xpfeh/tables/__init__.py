"""One reader and one writer for every table format, with the same guards for all callers."""
