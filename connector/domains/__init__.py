"""Pure domain models: one file a domain."""
