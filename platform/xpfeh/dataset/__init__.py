"""Ray Data: shards in, features and catalogs out, each row once."""
