"""`zindigi schemas …`: the Avro schemas of events and state."""

from __future__ import annotations

from cyclopts import App

from connector.cli.schema_check import check, release

schemas_app = App(name="schemas", help="The Avro schemas of events and state.")
schemas_app.command(check)
schemas_app.command(release)
