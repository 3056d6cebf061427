"""One file a command: it composes the rooms and returns what happened. The command line and the demo call these."""
