"""`python -m connector.cli`, for a checkout that is not installed."""

from connector.cli.main import main

main()
