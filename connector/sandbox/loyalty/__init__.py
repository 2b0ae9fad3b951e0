"""Z-Miles: points and vouchers, what members do with them, their backend, and what an event must say."""
