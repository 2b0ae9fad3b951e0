"""Access routes: where records come from."""
