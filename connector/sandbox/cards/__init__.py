"""Cards: what the bank issues, what holders buy with it, the cards' backend, and what an event must say."""
