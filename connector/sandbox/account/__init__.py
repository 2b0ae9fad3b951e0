"""The holder, the bank accounts and their balances."""
