"""Where `zindigi` begins: what is wrong with the installation is said in one line, before any command is known."""

from __future__ import annotations

import sys

from connector.cli import exits
from connector.errors import ConfigurationError


def main() -> None:
    """The entry point of `zindigi`."""
    try:
        # Domains from other packages are looked up with the first import of the registry.
        from connector.cli.main import execute
    except ConfigurationError as error:
        sys.stderr.write(f"zindigi: {error}\n")
        sys.exit(exits.exit_code(error))
    sys.exit(execute(sys.argv[1:]))
