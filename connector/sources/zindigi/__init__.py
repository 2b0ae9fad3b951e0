"""The app-session route."""
