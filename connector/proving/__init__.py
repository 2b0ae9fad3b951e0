"""Proving: the whole thing as processes, for the demo and the crash tests. Nothing of it runs in production."""
