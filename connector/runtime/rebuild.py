"""Rebuild: the lost or damaged state of a Kafka journal, made anew from its event topics as another branch.

Everything is read and judged before anything is written. What is not whole is refused; only where an operator asked for
a new epoch all the same, streams that are not whole are let go, for the new branch to tell them from their beginning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from connector.chain import BEGINNING, Chain, added, contents_of
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.errors import ConfigurationError, ConnectorError, ConsentError, DataError
from connector.fold import StreamFold
from connector.journal.kafka.rewriting import StateRewriting, rewriting
from connector.links import Link
from connector.ports import Commit, HighWaterMark, LastCommit, StateRecord
from connector.runtime.branch import link_sum
from connector.runtime.deployment import Deployment
from connector.runtime.history import Complaint, History, fold_history
from connector.runtime.memory import shard_subject
from connector.runtime.rebuilding import LiveSum, RawDigests, head_of, holder_token, stream_rows
from connector.runtime.sealed_state import Subject, head_key
from connector.state import Position

_SAID: Final = 3
"""How many complaints a refusal names."""
WAY_OUT: Final = (
    "Put back a copy of the topics that is whole; or have the journal go on without: `zindigi journal new-epoch` keeps "
    "what is whole, tells everything else anew, and tells consumers so"
)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was made: the epoch that the journal goes on as, and how much it remembers."""

    epoch: str
    accounts: int
    streams: int
    entities: int


@dataclass(slots=True)
class _Plan:
    """One shard, judged: what will be written."""

    shard: int
    number: int
    links: Mapping[str, Link]
    folds: list[StreamFold] = field(default_factory=list)
    subjects: dict[str, Subject] = field(default_factory=dict)
    tokens: dict[str, str | None] = field(default_factory=dict)
    digests: dict[str, dict[tuple[str, str, str], bytes]] = field(default_factory=dict)


async def rebuild(deployment: Deployment) -> Rebuilt:
    """Make the state of every shard anew from its events. Whoever works on the journal is fenced.

    Raises:
        ConfigurationError: the event topics do not hold everything, or hold what no connector has told; nothing was
            written.
        JournalError: the brokers do not answer; run it again.
    """
    async with rewriting(deployment.journal) as work:
        plans = [await _plan(deployment, work, shard, whole=True) for shard in range(deployment.journal.shard_count)]
        return await _write(deployment, work, plans)


async def begin_with_what_is_whole(deployment: Deployment) -> str | None:
    """Begin another branch where shards have events and no state; its epoch. None, and nothing done, where all have.

    Raises:
        JournalError: the brokers do not answer; run it again.
    """
    shards = range(deployment.journal.shard_count)
    lost = [shard for shard in shards if await deployment.journal.lost_state(shard)]
    if not lost:
        return None
    async with rewriting(deployment.journal) as work:
        plans = [await _plan(deployment, work, shard, whole=False) for shard in lost]
        return (await _write(deployment, work, plans)).epoch


async def _write(deployment: Deployment, work: StateRewriting, plans: list[_Plan]) -> Rebuilt:
    epoch = await work.begin([plan.shard for plan in plans])
    for plan in plans:
        rows, last = await _rows(deployment, plan, epoch)
        await work.write(plan.shard, rows, last)
    folds = [fold for plan in plans for fold in plan.folds]
    return Rebuilt(
        epoch=epoch,
        accounts=len({fold.account_id for fold in folds if not fold.account_id.startswith("shard/")}),
        streams=len(folds),
        entities=sum(len(fold.entities) for fold in folds),
    )


async def _plan(deployment: Deployment, work: StateRewriting, shard: int, *, whole: bool) -> _Plan:
    """Judge a shard.

    Raises:
        ConfigurationError: it is not `whole`, where it must be; or the vault is not the journal's.
    """
    journal = deployment.journal
    marked = work.mark(shard)
    identity = await deployment.vault.identity()
    if marked is not None and marked.vault is not None and marked.vault.vault_id != identity.vault_id:
        raise ConfigurationError(
            f"shard {shard} was written under another vault ({marked.vault.vault_id}, not {identity.vault_id}): use "
            "the vault that belongs to this journal"
        )
    topics = await work.history(shard)
    history = await fold_history(shard, topics.events)
    links = await deployment.links(shard)
    if whole:
        _require_whole(shard, journal.options.prefix, topics.expired, history, links)
    mark = (await deployment.vault.marks()).get(shard)
    number = 1 + max(_numbers(history, mark, marked), default=0)
    plan = _Plan(shard, number, links)
    plan.folds = _worth_keeping(shard, history)
    await _open_subjects(deployment, work, plan, whole=whole)
    return plan


def _worth_keeping(shard: int, history: History) -> list[StreamFold]:
    """The streams that are whole, and the shard's own, which will say that all others are void.

    Raises:
        ConfigurationError: nothing of the shard's own is there that could go on.
    """
    own = (shard_subject(shard), LIFECYCLE)
    wrong = {(one.account_id, one.topic) for one in history.complaints}
    kept = [fold for stream, fold in history.streams.items() if (fold.whole and stream not in wrong) or stream == own]
    if len(kept) < len(history.streams) and own not in history.streams:
        raise ConfigurationError(
            f"{LIFECYCLE}: partition {shard} holds no checkpoint any more, so that consumers cannot be told which "
            "streams begin anew. Begin new topics under another kafka.prefix"
        )
    return kept


def _numbers(history: History, mark: HighWaterMark | None, marked: LastCommit | None) -> Iterator[int]:
    """The commits that anything names: the next one comes after all of them."""
    yield from history.newest_commit.values()
    if mark is not None:
        yield mark.number
    if marked is not None:
        yield marked.number


def _require_whole(
    shard: int, prefix: str, expired: Iterable[str], history: History, links: Mapping[str, Link]
) -> None:
    said = [f"{topic}: the oldest events of partition {shard} have expired or were deleted" for topic in expired]
    for fold in history.streams.values():
        if fold.first != 1:
            what = f"the oldest event is sequence {fold.first}: those before it are gone"
            said.append(str(Complaint(f"{prefix}.{fold.domain}", fold.account_id, what)))
    said += [str(replace(one, topic=f"{prefix}.{one.topic}")) for one in history.complaints]
    for account_id in links:
        if (account_id, LIFECYCLE) not in history.streams:
            said.append(f"{prefix}.{LIFECYCLE}: of {account_id}, which is linked, no event is there")
    if said:
        more = f"; and {len(said) - _SAID} more" if len(said) > _SAID else ""
        raise ConfigurationError(
            f"the state cannot be made from the event topics, for they do not hold everything that was told: "
            f"{'; '.join(said[:_SAID])}{more}. Nothing was changed. {WAY_OUT}"
        )


async def _open_subjects(deployment: Deployment, work: StateRewriting, plan: _Plan, *, whole: bool) -> None:
    """The keys of everybody who has told anything. What was erased stays erased: it has none.

    Raises:
        ConfigurationError: the vault does not know an account, or cannot open its key.
    """
    own = shard_subject(plan.shard)
    plan.subjects[own] = Subject(own, await deployment.vault.shard_key(plan.shard))
    for account_id in {fold.account_id for fold in plan.folds} - {own}:
        try:
            plan.subjects[account_id] = Subject(account_id, await deployment.vault.data_key(account_id, make=False))
        except ConsentError:
            continue
        except (ConfigurationError, DataError) as error:
            if whole:
                raise ConfigurationError(
                    f"{error}. Its state cannot be sealed: put the vault back that belongs to this journal"
                ) from error
    plan.folds = [fold for fold in plan.folds if fold.account_id in plan.subjects]
    accounts = {fold.account_id: fold for fold in plan.folds if fold.domain == "account"}
    for account_id, subject in plan.subjects.items():
        plan.tokens[account_id] = holder_token(subject, accounts.get(account_id))
    for record in work.values(plan.shard):
        _keep_token(record, plan)
    await _read_digests(deployment, plan)


def _keep_token(record: StateRecord, plan: _Plan) -> None:
    """By what a holder is known does not change: a head that still opens says it better than any event."""
    account_id = record.key.partition("/")[0]
    subject = plan.subjects.get(account_id)
    if subject is None or record.key != head_key(account_id, LIFECYCLE):
        return
    try:
        plan.tokens[account_id] = subject.open_head(record).holder_token or plan.tokens[account_id]
    except ConnectorError:
        return  # damaged, as so much else may be


async def _read_digests(deployment: Deployment, plan: _Plan) -> None:
    """The raw forms that were quarantined, so that none is told a second time."""
    wanted = {fold.account_id for fold in plan.folds if any(one.unreadable for one in fold.entities.values())}
    if not wanted:
        return
    async for record in deployment.reader.read_quarantine(wanted):
        try:
            facts = json.loads(plan.subjects[record.key].unseal("quarantine", record.value))
            name = (facts["domain"], facts["resource"], facts["entity_id"])
            plan.digests.setdefault(record.key, {})[name] = bytes.fromhex(facts["raw_digest"])
        except (ConnectorError, ValueError, KeyError, TypeError):
            continue  # then it may be told once more, which is no harm


async def _rows(deployment: Deployment, plan: _Plan, epoch: str) -> tuple[list[StateRecord], LastCommit]:
    """Everything that the shard is to remember, its position last, and what its last commit is."""
    own = plan.subjects[shard_subject(plan.shard)]
    chain = Chain(await deployment.vault.shard_key(plan.shard))
    live = LiveSum(chain)
    rows: list[StateRecord] = []
    for fold in plan.folds:
        head = head_of(fold, plan.number)
        if fold.domain == LIFECYCLE:
            head = replace(head, holder_token=plan.tokens.get(fold.account_id))
        digests: RawDigests = plan.digests.get(fold.account_id, {})
        rows += stream_rows(fold, plan.subjects[fold.account_id], head, digests, live)
    total = added(live.total, *(link_sum(chain, link) for link in plan.links.values()))
    identity = await deployment.vault.identity()
    # What the old chain vouched for is lost with it: a new one begins, in a new epoch.
    contents = contents_of(Commit(plan.shard, plan.number, (), tuple(rows)), ())
    tip = chain.tip(BEGINNING, plan.shard, plan.number, epoch, contents)
    position = Position(plan.number, epoch, tip, total, identity.vault_id, identity.counter)
    return [*rows, own.position_record(position)], LastCommit(plan.number, tip, deployment.clock.now(), identity)
