"""Paced source: every call to the bank waits for its backend's next slot, whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping

from connector.domains.model import Profile
from connector.ports import Clock, Page, PageRequest, RawPage, Resource, Source
from connector.runtime.backend import Backend


class PacedSource:
    """A Source that keeps to the pace of its backends."""

    def __init__(self, source: Source, clock: Clock, backends: Mapping[str, Backend]) -> None:
        self._source = source
        self._clock = clock
        self._backends = backends
        self.route = source.route
        self.api_version = source.api_version
        self.parser_version = source.parser_version

    async def fetch_profile(self, account_id: str, etag: str | None = None) -> Profile | None:
        await self._wait("bank")
        return await self._source.fetch_profile(account_id, etag)

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        await self._wait(resource.kind.backend)
        return await self._source.fetch_page(resource, request)

    def normalise(self, resource: Resource, body: bytes) -> Page:
        return self._source.normalise(resource, body)

    async def understand(self, resource: Resource, body: bytes) -> Page:
        return await self._source.understand(resource, body)

    async def log_out(self, account_id: str) -> None:
        await self._source.log_out(account_id)

    async def _wait(self, backend: str) -> None:
        wait = self._backends[backend].reserve(self._clock.monotonic())
        if wait > 0:
            await self._clock.sleep(wait)
