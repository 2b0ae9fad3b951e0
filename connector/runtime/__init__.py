"""When to read and when to commit."""
