"""`python -m connector.cli`, for a checkout that is not installed."""

from connector.cli.entry import main

main()
