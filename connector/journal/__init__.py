"""Durable logs: events and state in one commit."""
