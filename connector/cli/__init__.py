"""The command line: `zindigi`. Reads, asks and shows; whatever changes a link goes through the journal as a command."""
