"""Bookings: orders of the marketplace, how each runs, the bank ledger's feed of them, and what an event must say."""
