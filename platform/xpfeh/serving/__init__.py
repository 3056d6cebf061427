"""Ray Serve: the online endpoint."""
