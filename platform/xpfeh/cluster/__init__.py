"""Ray: the cluster a command runs on, a plan's shards on it, members of an ensemble on its workers."""
