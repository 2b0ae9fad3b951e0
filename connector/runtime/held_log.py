"""Held, in the log: what a commit changed in what is held, said once, with names and the next step."""

from __future__ import annotations

from connector.runtime.encoding import Encoded
from connector.runtime.held_words import next_step
from connector.state import ResourceMeta
from connector.telemetry import logger

_LOG = logger(__name__)


def say_what_changed(one: Encoded, before: ResourceMeta) -> None:
    """Say what is held, open or unreadable after a commit and was not `before`, and what is over."""
    write, after = one.write, one.meta
    log = _LOG.bind(account_id=write.account.account_id, domain=write.domain, resource=write.resource)
    about = write.account.account_id, write.domain
    was = before.held.kind if before.held is not None and before.holds else None
    now = after.held if after.holds else None
    if now is not None and now.kind != was:
        log.warning("held", kind=now.kind, count=now.count, next_step=next_step(now.kind, *about))
    elif now is None and was is not None:
        log.info("held_no_more", kind=was)
    if before.hole_since is None and after.hole_since is not None:
        log.warning("hole_opened", kind="hole", next_step=next_step("hole", *about))
    elif before.hole_since is not None and after.hole_since is None:
        log.info("hole_closed", kind="hole")
    if one.quarantine:
        log.warning(
            "entries_quarantined",
            kind="quarantined",
            count=len(one.quarantine),
            quarantined_count=after.quarantined_count,
            next_step=next_step("quarantined", *about),
        )
    elif after.quarantined_count < before.quarantined_count:
        log.info(
            "entries_readable",
            kind="quarantined",
            count=before.quarantined_count - after.quarantined_count,
            quarantined_count=after.quarantined_count,
        )
