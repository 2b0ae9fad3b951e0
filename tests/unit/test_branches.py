"""Which events still hold where a journal went on as another branch, and what no connector can have told."""

from __future__ import annotations

from connector.branches import EPOCH_BEGAN, Branches, Stream

SHARD: Stream = ("shard/0", "lifecycle")
STREAM: Stream = ("acc", "lending")


def branches(*told: tuple[Stream, str, int, str]) -> Branches:
    """Events as (stream, epoch, sequence, event type), in the order of their topics."""
    found = Branches("shard/0")
    for stream, epoch, sequence, event_type in told:
        found.take(stream, epoch, sequence, event_type)
    return found


def events(stream: Stream, epoch: str, *sequences: int) -> list[tuple[Stream, str, int, str]]:
    return [(stream, epoch, sequence, "LoanRepaid") for sequence in sequences]


def test_within_one_epoch_everything_holds() -> None:
    found = branches(*events(STREAM, "a", 1, 2, 3))
    assert not any(found.void(STREAM, "a", sequence) for sequence in (1, 2, 3))
    assert list(found.complaints()) == []


def test_what_another_epoch_told_from_its_beginning_on_is_void() -> None:
    found = branches(
        *events(STREAM, "a", 1, 2, 3, 4),
        (STREAM, "b", 3, EPOCH_BEGAN),
        *events(STREAM, "b", 4, 5, 6),
        (STREAM, "c", 2, EPOCH_BEGAN),
    )
    assert [found.void(STREAM, "a", sequence) for sequence in (1, 2, 3, 4)] == [False, True, True, True]
    assert [found.void(STREAM, "b", sequence) for sequence in (3, 4, 5, 6)] == [True] * 4
    assert not found.void(STREAM, "c", 2)
    assert list(found.complaints()) == []


def test_a_stream_that_a_branch_never_mentions_is_void_from_its_beginning() -> None:
    shard = [*events(SHARD, "a", 1, 2), (SHARD, "b", 2, EPOCH_BEGAN)]
    found = branches(*shard, *events(STREAM, "a", 1, 2))
    assert found.unknown(STREAM)
    assert found.void(STREAM, "a", 1)
    assert not found.unknown(SHARD)
    # It may begin again, from 1.
    found = branches(*shard, *events(STREAM, "a", 1, 2), *events(STREAM, "b", 1, 2))
    assert [found.void(STREAM, epoch, 1) for epoch in ("a", "b")] == [True, False]
    assert list(found.complaints()) == []


def test_an_epoch_that_began_in_streams_and_not_yet_in_the_shard_counts() -> None:
    began = (STREAM, "c", 3, EPOCH_BEGAN)
    found = branches(*events(SHARD, "a", 1), (SHARD, "b", 2, EPOCH_BEGAN), *events(STREAM, "b", 1, 2), began)
    assert not found.unknown(STREAM)
    assert not found.void(STREAM, "b", 2)
    assert list(found.complaints()) == []


def test_an_epoch_that_comes_back_or_is_not_announced_is_somebody_else_s() -> None:
    back = branches(*events(STREAM, "a", 1), (STREAM, "b", 2, EPOCH_BEGAN), *events(STREAM, "a", 3))
    assert any("comes back" in what for _, what in back.complaints())
    silent = branches(*events(STREAM, "a", 1, 2), *events(STREAM, "b", 3))
    assert "no EpochBegan says so" in dict(silent.complaints())[STREAM]
    # Not even from 1 on, where the shard never was that branch.
    silent = branches(*events(STREAM, "a", 1, 2), *events(STREAM, "x", 1))
    assert "no EpochBegan says so" in dict(silent.complaints())[STREAM]
    shard = [*events(SHARD, "a", 1), (SHARD, "b", 2, EPOCH_BEGAN), (SHARD, "c", 3, EPOCH_BEGAN)]
    older = branches(*shard, (STREAM, "c", 1, EPOCH_BEGAN), *events(STREAM, "b", 1))
    assert any("comes back" in what for stream, what in older.complaints() if stream == STREAM)
