"""Long work: a job is a plan of its own on the endpoint's cluster, and what is known of it lies in files."""
