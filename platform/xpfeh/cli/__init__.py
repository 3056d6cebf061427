"""The command line: Typer and printing only."""
