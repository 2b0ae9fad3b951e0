"""Paced source: every call to the bank waits for its backend's next slot, whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from connector.domains.model import Profile
from connector.ports import Clock, Intend, OpenRefresh, Page, PageRequest, RawPage, Resource, Source
from connector.runtime.backend import Backend
from connector.runtime.clock_watch import ClockWatch


class PacedSource:
    """A Source that keeps to the pace of its backends."""

    def __init__(self, source: Source, clock: Clock, backends: Mapping[str, Backend], watch: ClockWatch) -> None:
        self._source = source
        self._clock = clock
        self._backends = backends
        self._watch = watch
        self.route = source.route
        self.api_version = source.api_version
        self.parser_version = source.parser_version

    async def fetch_profile(self, account_id: str, etag: str | None = None) -> Profile | None:
        await self._wait("bank")
        return await self._source.fetch_profile(account_id, etag)

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        await self._wait(resource.kind.backend)
        page = await self._source.fetch_page(resource, request)
        self._watch.heard(page.served_at, page.asked_at)
        return page

    def normalise(self, resource: Resource, body: bytes) -> Page:
        return self._source.normalise(resource, body)

    async def understand(self, resource: Resource, body: bytes) -> Page:
        return await self._source.understand(resource, body)

    async def tell_time(self) -> datetime | None:
        return await self._source.tell_time()

    def take_charge(self, account_id: str, intend: Intend, left_open: OpenRefresh | None = None) -> None:
        self._source.take_charge(account_id, intend, left_open)

    async def log_out(self, account_id: str) -> None:
        await self._source.log_out(account_id)

    async def _wait(self, backend: str) -> None:
        wait = self._backends[backend].reserve(self._clock.monotonic())
        if wait > 0:
            await self._clock.sleep(wait)
