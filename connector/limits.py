"""Every bound on what the bank may bring or ask, in one place: `docs/limits.md` is the same as a table.

A bound is where an answer stops being one of the contract and becomes a cost. Units stand last in the names. What the
contract bounds, it bounds by the same numbers: nothing that it allows is refused.
"""

from __future__ import annotations

from typing import Final

# ── A body ──────────────────────────────────────────────────────────────────────────────────────────────────────────

MAXIMUM_BODY_BYTES: Final = 8 * 1024 * 1024
"""Of one answer, after it was unpacked."""
LARGE_BODY_BYTES: Final = 256 * 1024
"""A larger body is parsed by a worker thread: up to this size, parsing takes the event loop a few milliseconds."""
MAXIMUM_NUMBER_CHARACTERS: Final = 64
"""Of one JSON number. A longer one has no value here; nothing is computed from it."""
MAXIMUM_JSON_DEPTH: Final = 200_000
"""Levels of nesting. What is deep lies in fields that nobody reads, and costs no recursion."""
MAXIMUM_ETAG_CHARACTERS: Final = 1_024
"""Of an entity tag. A longer one is not kept, and the body is sent again."""

# ── What an answer lists ────────────────────────────────────────────────────────────────────────────────────────────

MAXIMUM_ENTRIES_A_PAGE: Final = 1_000
"""Of a feed that has pages, of which at most 200 entries are asked for."""
MAXIMUM_ENTRIES_A_WHOLE: Final = 10_000
"""Of an answer that has no pages: positions, vouchers, days of a fund, loans with their parts."""
MAXIMUM_BANK_ACCOUNTS: Final = 50
"""IBANs of one login: each is a stream of its own."""
MAXIMUM_CARDS: Final = 100
"""Cards of one login: the activity of each is read."""
MAXIMUM_FUNDS: Final = 200
"""Funds of one portfolio: the values of each are read."""
MAXIMUM_BOOKING_LINES: Final = 1_000
"""Lines of one order of the marketplace."""

# ── A read ──────────────────────────────────────────────────────────────────────────────────────────────────────────

MAXIMUM_PAGES_A_READ: Final = 10_000
"""Pages that one read may follow: a million entries at 100 a page. A feed without an end is led round in circles."""
MAXIMUM_ENTRIES_A_READ: Final = 200_000
"""Entries that one read may gather before it commits: more than a window and a chunk never are."""
MAXIMUM_STALLED_PAGES: Final = 3
"""Pages in a row that show nothing new: then the read begins again."""
MAXIMUM_ENTRIES_A_CHUNK: Final = 5_000
"""Entries that one commit of a long read may tell."""

# ── Texts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

MAXIMUM_IDENTIFIER_CHARACTERS: Final = 512
"""Of the id of anything, and of what refers to one."""
MAXIMUM_CODE_CHARACTERS: Final = 128
"""Of a status, rail, type, channel, tier."""
MAXIMUM_TEXT_CHARACTERS: Final = 16_384
"""Of a name, title, description."""
MAXIMUM_CURSOR_CHARACTERS: Final = 4_096
"""Of a cursor: it goes back to the bank in a query."""
MAXIMUM_TOKEN_CHARACTERS: Final = 8_192
"""Of an access or refresh token: it goes back to the bank in a header."""

MAXIMUM_QUARANTINED_BYTES: Final = 16_384
"""Of the content that is kept, sealed, of an entry that cannot be understood."""

# ── Waits ───────────────────────────────────────────────────────────────────────────────────────────────────────────

MAXIMUM_RETRY_AFTER_SECONDS: Final = 3_600
"""Of a wish to wait. Who is asked to wait longer asks again after an hour."""
MAXIMUM_ACCESS_SECONDS: Final = 86_400
"""Of the stated life of an access token; a longer or absurd one is taken for the assumed one."""
ASSUMED_ACCESS_SECONDS: Final = 300
"""The life of an access token whose life was not stated in a form that can be used."""
MAXIMUM_REFRESH_SECONDS: Final = 10 * 366 * 86_400
"""Of the stated life of a refresh token; a longer or absurd one is taken for unknown."""
