"""A process that commits as fast as it can until it is killed: `python -m … BACKEND LOCATION SHARD`.

Writes one line to stdout once a commit has returned: what it has said must never be lost.
"""

from __future__ import annotations

import sys

import anyio

from tests.contract.journal.backends import backend_named
from tests.contract.journal.samples import numbered_commit


async def commit_for_ever(backend_name: str, location: str, shard_number: int) -> None:
    journal = await backend_named(backend_name, location).open_journal()
    shard = await journal.acquire(shard_number)
    number = 0
    async for record in shard.restore():
        if record.key == "account/transactions":
            number = int(record.value or b"0")
    while True:
        number += 1
        await shard.commit(numbered_commit(shard_number, number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(commit_for_ever, sys.argv[1], sys.argv[2], int(sys.argv[3]))
