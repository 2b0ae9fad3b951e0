"""The bank simulator and the oracle; imports nothing of the connector but `errors`."""
