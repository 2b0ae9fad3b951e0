"""For consumers of the streams: pure folds over decoded events. Imports nothing else of the connector."""
