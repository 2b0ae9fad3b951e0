"""The brokerage: what is held, orders and how they run, what a fund's unit is worth, and what an event must say."""
