"""`zindigi schemas …`: the Avro schemas of events and state, and the schema registry."""

from __future__ import annotations

from cyclopts import App

from connector.cli.schema_check import check, release
from connector.cli.schema_registration import register

schemas_app = App(name="schemas", help="The Avro schemas, and the schema registry.")
schemas_app.command(check)
schemas_app.command(release)
schemas_app.command(register)
