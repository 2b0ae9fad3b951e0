"""Account → shard, by Kafka's own partitioner, so that every deployment and every other client agrees on it.

Source: `org.apache.kafka.common.utils.Utils.murmur2` (Apache Kafka, Apache-2.0): MurmurHash2, 32 bit, seed 0x9747b28c.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF
_MULTIPLIER: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_WORD_BYTES: Final = 4


def murmur2(data: bytes) -> int:
    """The unsigned 32-bit MurmurHash2 of `data`, as Kafka computes it."""
    value = _SEED ^ len(data)
    whole = len(data) - len(data) % _WORD_BYTES
    for start in range(0, whole, _WORD_BYTES):
        word = int.from_bytes(data[start : start + _WORD_BYTES], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        value = value * _MULTIPLIER & _MASK ^ word
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    value = (value ^ value >> 13) * _MULTIPLIER & _MASK
    return value ^ value >> 15


def shard_of(account_id: str, shard_count: int) -> int:
    """The shard (0 ≤ shard < `shard_count`) that everything about `account_id` belongs to."""
    return (murmur2(account_id.encode()) & _POSITIVE) % shard_count
