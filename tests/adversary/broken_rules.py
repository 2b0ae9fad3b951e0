"""The rules of what a read may move, each broken on purpose inside the core. `tests/adversary/seams.py` says how."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from connector.domains.model import Entry
from connector.errors import ActionRequiredError, ConnectorError, TokenError
from connector.observe import Depth, Known, Observation, Read, Suspicion, Trust
from connector.runtime.walk import Reading
from connector.window import Reach
from tests.adversary.seams import Plant, always, constant, derived, instead, together

POLLS, WRITES, WINDOW = "connector.runtime.polls", "connector.runtime.writes", "connector.window"
POLLER, WALK, CHECKPOINT = "connector.runtime.poller", "connector.runtime.walk", "connector.runtime.checkpoint"

# ── Joining ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _joins(take: Any, polls: Any, account: Any, resource: Any, memory: Any, reading: Reading, commits: Any) -> Any:
    head = reading.depth is Depth.HEAD and reading.read is not None
    return take(polls, account, resource, memory, replace(reading, last=True) if head else reading, commits)


def _leaves_no_hole(meta_after: Any, *given: Any, moved: bool) -> Any:
    return replace(meta_after(*given, moved=moved), hole_since=None)


def _raises_joined_to(meta_after: Any, resource: Any, meta: Any, reading: Reading, seen: Any, *, moved: bool) -> Any:
    after = meta_after(resource, meta, reading, seen, moved=moved)
    return replace(after, joined_to=max(filter(None, (after.joined_to, reading.joined_to)), default=None))


def _forgets_above_a_hole(may_go: Any, reach: Reach, key: Any) -> Any:
    return may_go(replace(reach, hole=False), key)


def _fills_nothing(choose: Any, resource: Any, memory: Any, *given: Any, **named: Any) -> Depth:
    depth: Depth = choose(resource, memory, *given, **named)
    return Depth.HEAD if depth is Depth.FILL else depth


async def _fills_one_chunk(
    readings: Any, poller: Any, resource: Any, memory: Any, depth: Depth, gate: Any
) -> AsyncIterator[Reading]:
    async for reading in readings(poller, resource, memory, depth, gate):
        yield replace(reading, last=True) if reading.depth is Depth.FILL else reading
        if reading.depth is Depth.FILL:
            return


def _claims_in_a_hole(note: Any, polls: Any, resource: Any, memory: Any, reading: Reading, **named: bool) -> None:
    note(polls, resource, memory, reading, **named)
    memory.read_at = reading.until


def _says_no_hole(told: Any, *given: Any, **named: Any) -> Any:
    doubt = told(*given, **named)
    return None if doubt == "HOLE" else doubt


def _no_unjoined_digest(reading: Any, walk: Any, depth: Depth, read: Read | None = None, **named: Any) -> Reading:
    if depth is Depth.HEAD and read is not None:
        named["digest"] = walk.digest
    made: Reading = reading(walk, depth, read, **named)
    return made


JOINING: dict[str, Plant] = {
    "a head read that stops short joins": instead(f"{POLLS}:Polls._take", _joins),
    "a read that stops short leaves no hole": instead(f"{WRITES}:_meta_after", _leaves_no_hole),
    "joined_to rises with a read that stops short": instead(f"{WRITES}:_meta_after", _raises_joined_to),
    "a hole does not stop the floor": instead(f"{WINDOW}:Reach.may_go", _forgets_above_a_hole),
    "a hole asks for no full read": instead(f"{POLLS}:choose_depth", _fills_nothing),
    "a fill ends after a chunk": instead(f"{POLLER}:Poller.readings", _fills_one_chunk),
    "claims move while there is a hole": instead(f"{POLLS}:Polls._note", _claims_in_a_hole),
    "a hole is not said": instead(f"{CHECKPOINT}:_doubt", _says_no_hole),
    "a page that shows nothing new vouches for what is below": instead(f"{WALK}:Walk.reading", _no_unjoined_digest),
}

# ── Outliers ────────────────────────────────────────────────────────────────────────────────────────────────────────

OUTLIERS: dict[str, Plant] = {
    "the window is measured from the newest entry, whatever its date": always(f"{WRITES}:horizon", None),
    "an outlier is joined to": always(f"{WALK}:horizon", None),
    "the unsettled are forgotten": derived("connector.state:EntityState.settled", lambda _entity: True),
    "an ascending read goes on after a freak number": constant(f"{WINDOW}:OVERLAP_ENTRIES", 1),
}

# ── Absence and suspicion ───────────────────────────────────────────────────────────────────────────────────────────


def _one_absence(observe: Any, known: Known, read: Read, trust: Trust) -> Observation:
    suspected = Suspicion(absent=frozenset(known.entities)) if read.whole else known.suspicion
    seen: Observation = observe(replace(known, suspicion=suspected), read, trust)
    return seen


def _head_is_complete(observe: Any, known: Known, read: Read, trust: Trust) -> Observation:
    depth = Depth.RECONCILE if read.depth is Depth.HEAD else read.depth
    seen: Observation = observe(known, replace(read, complete=True, depth=depth), trust)
    return seen


def _unreadable_is_absent(observe: Any, known: Known, read: Read, trust: Trust) -> Observation:
    shown = tuple(entry for entry in read.entries if isinstance(entry, Entry))
    seen: Observation = observe(known, replace(read, entries=shown), trust)
    return seen


def _held_is_forgotten(resource: Any, account: Any, domain: str, name: str) -> Any:
    fresh = name not in account.stream(domain).resources
    memory = resource(account, domain, name)
    if fresh:
        memory.meta = replace(memory.meta, held=None)
    return memory


ABSENCE: dict[str, Plant] = {
    "one absence is proof": instead(f"{POLLS}:observe", _one_absence),
    "a head read claims absence": instead(f"{POLLS}:observe", _head_is_complete),
    "a part is an answer": derived("connector.sources.zindigi.refusals:Answer.shows", lambda answer: answer.succeeded),
    "what left by its age was removed": always(f"{POLLER}:served_from", None),
    "a mass removal is believed": constant("connector.observe:MASS_ENTRIES", 10**9),
    "a mass creation is believed": always("connector.observe:_Sighting._is_late", False),
    "what takes the place of all that is known is believed": derived(
        "connector.observe:_Sighting._is_sync", lambda _sighting: True
    ),
    "an emptiness is believed at once": always(f"{POLLS}:_trust", Trust(emptiness=True)),
    "a restart begins an emptiness anew": instead(
        "connector.runtime.memory:AccountMemory.resource", _held_is_forgotten
    ),
    "an account that is not listed is not missed": always("connector.runtime.lifecycle:unlisted", []),
    "a tier that nobody knows takes away": always("connector.runtime.memory:is_known_tier", True),
    "the unreadable is absent": instead(f"{POLLS}:observe", _unreadable_is_absent),
}

# ── Unchanged means equal to what is committed ──────────────────────────────────────────────────────────────────────


def _digests_survive(meta_after: Any, resource: Any, meta: Any, reading: Any, seen: Any, *, moved: bool) -> Any:
    after = meta_after(resource, meta, reading, seen, moved=moved)
    head = meta.head_digest if reading.depth is not Depth.HEAD else after.head_digest
    swept = meta.sweep_digest if reading.depth is not Depth.RECONCILE else after.sweep_digest
    return replace(after, head_digest=head, sweep_digest=swept)


def _tag_survives(note: Any, polls: Any, resource: Any, memory: Any, reading: Reading, **named: bool) -> None:
    etag = memory.etag
    note(polls, resource, memory, reading, **named)
    if reading.depth is Depth.RECONCILE:
        memory.etag = etag


UNCHANGED: dict[str, Plant] = {
    "a digest survives the commit of another read": instead(f"{WRITES}:_meta_after", _digests_survive),
    "a tag survives the commit of another read": instead(f"{POLLS}:Polls._note", _tag_survives),
    "a tag is believed for ever": constant("connector.runtime.memory:MAXIMUM_ETAG_USES", 10**9),
}

# ── Claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _known_only(_oldest: Any, times: Any, now: Any) -> Any:
    known = [at for at in times if at is not None]
    return min([*known, now]) if known else None


def _now_if_none(oldest: Any, times: Any, now: Any) -> Any:
    return oldest([at for at in times if at is not None], now) or now


def _seen_of_the_known(seen: Any, account: Any, domain: str, *given: Any) -> Any:
    told, complete = seen(account, domain, *given)
    known = account.profile_asked_at
    return replace(told, polled_until=told.polled_until or known), complete


def _holds_are_not_said(told: Any, *given: Any, **named: Any) -> Any:
    doubt = told(*given, **named)
    return None if doubt == "HELD" else doubt


def _quarantine_is_not_counted(told: Any, *given: Any, **named: Any) -> Any:
    said = told(*given, **named)
    return replace(said, quarantined=0, domains=tuple(replace(one, quarantined=0) for one in said.domains))


def _keeps_it_to_itself(tell: Any, telling: Any, name: str, *given: Any, **named: Any) -> None:
    if name != "EntryReadable":
        tell(telling, name, *given, **named)


CLAIMS: dict[str, Plant] = {
    "a claim is the later of both clocks": instead(
        f"{WALK}:claim_time", lambda _claim, asked_at, served_at: max(asked_at, served_at or asked_at)
    ),
    "a claim is of when the read ended": derived(f"{WALK}:Walk.until", lambda walk: walk.fetched_at),
    "a domain is as complete as what is known of it": instead(f"{CHECKPOINT}:_oldest", _known_only),
    "with nothing read a claim is now": instead(f"{CHECKPOINT}:_oldest", _now_if_none),
    "a stream that was not read has the profile's time": instead(f"{CHECKPOINT}:_seen", _seen_of_the_known),
    "what is held is vouched for": instead(f"{CHECKPOINT}:_doubt", _holds_are_not_said),
    "what is quarantined is not counted": instead(
        "connector.runtime.shard_worker:checkpoint_of", _quarantine_is_not_counted
    ),
    "what can be read again is not said": instead("connector.runtime.encoding:_Encoding._tell", _keeps_it_to_itself),
}

# ── The clock ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _future_counts(choose: Any, resource: Any, memory: Any, intervals: Any, now: Any, **named: Any) -> Depth:
    swept_at = memory.meta.swept_at
    depth: Depth = choose(resource, memory, intervals, max(now, swept_at) if swept_at else now, **named)
    return depth


async def _heeds_nothing(_heed: Any, _worker: Any) -> None:
    """Looks at no clock."""


NEIGHBOURING = "tests.adversary.test_clock_and_neighbours"
CLOCK: dict[str, Plant] = {
    "a complete read of the future counts": instead(f"{POLLS}:choose_depth", _future_counts),
    "what was noted ahead stays": always("connector.runtime.memory:AccountMemory.forget_ahead", None),
    "a consent that has yet to begin is read under": instead(
        f"{POLLS}:require_consent",
        lambda require, consent, domain, at, **named: require(consent, domain, max(at, consent.valid_from), **named),
    ),
    "what elapsed stops in a suspend": together(
        instead(f"{NEIGHBOURING}:suspend", lambda _suspend, clock, seconds: clock.step(seconds)),
        instead("connector.runtime.shard_worker:ShardWorker.heed_clock", _heeds_nothing),
    ),
    "a step of the clock is not doubted": together(
        always("connector.runtime.clock_doubt:ClockDoubt.look", None),
        always("connector.runtime.clock_doubt:ClockDoubt.heard", None),
        instead("connector.runtime.clock_doubt:ClockDoubt.surely_past", lambda _past, _doubt, at, now: now.wall >= at),
    ),
}

# Broken where only a whole life shows it: `tests/adversary/test_breaks.py`.
OVER_TIME: dict[str, Plant] = {
    "a claim is of our clock alone": instead(f"{WALK}:claim_time", lambda _claim, asked_at, _served_at: asked_at),
    "our clock alone ends what cannot be undone": instead(
        "connector.runtime.clock_doubt:ClockDoubt.surely_past", lambda _past, _doubt, at, now: now.wall >= at
    ),
    "a step of the clock is not doubted": CLOCK["a step of the clock is not doubted"],
}

# ── Statuses, and one that stops another ────────────────────────────────────────────────────────────────────────────


def _status_is_meaning(refusal: Any, answer: Any) -> ConnectorError:
    if answer.status in {401, 403} and answer.code is None:
        return ActionRequiredError("otp", "planted")
    error: ConnectorError = refusal(answer)
    return error


def _any_401_is_the_tokens(refusal: Any, answer: Any) -> ConnectorError:
    if answer.status == 401:
        return TokenError("planted")
    error: ConnectorError = refusal(answer)
    return error


def _defect_ends_the_shard(_unforeseen: Any, _isolation: Any, _stream: Any, error: Exception) -> None:
    raise AssertionError(f"unforeseen, and everything ends: {error}")


HTTP, SESSION = "connector.sources.zindigi.http", "connector.sources.zindigi.session"
NEIGHBOURS: dict[str, Plant] = {
    "a status is its meaning": together(
        instead(f"{HTTP}:refusal", _status_is_meaning), instead(f"{SESSION}:_refused", _status_is_meaning)
    ),
    "any 401 is the token's": together(
        instead(f"{HTTP}:refusal", _any_401_is_the_tokens), instead(f"{SESSION}:refusal", _any_401_is_the_tokens)
    ),
    "one account's refusal is the backend's": constant("connector.runtime.backend:SEVERAL_ACCOUNTS", 1),
    "a hold lasts as long as the bank says": together(
        constant("connector.runtime.backend:LONGEST_ACCOUNT_HOLD_SECONDS", 10.0**9),
        constant("connector.runtime.job_runner:MAXIMUM_BACKOFF_SECONDS", 10.0**9),
    ),
    "a defect ends the shard": instead("connector.runtime.isolation:Isolation.unforeseen", _defect_ends_the_shard),
}
