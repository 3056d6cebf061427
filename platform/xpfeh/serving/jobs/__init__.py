"""Long work: each job is a separate plan on the endpoint's cluster, and its whole state is in files."""
