"""Advance Cash: loans, how they run, the lending core's backend, and what an event must say."""
