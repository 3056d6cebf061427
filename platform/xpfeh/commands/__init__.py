"""One file a command: it composes the rooms and returns what happened. CLI, jobs and the demo call these."""
