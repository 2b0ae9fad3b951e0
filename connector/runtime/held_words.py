"""What is held, in words: each kind with what it means, what a decision does, and the next step. Pure."""

from __future__ import annotations

from typing import Final, Literal

from connector.state import HeldKind

Kind = HeldKind | Literal["hole", "quarantined", "isolated", "set_aside", "command"]
"""`command`: one that cannot be understood; the others are as in the state, in checkpoints and in the log."""

DECIDABLE: Final[frozenset[Kind]] = frozenset({"mass_removal", "mass_creation", "emptiness", "unlisted"})
RETRYABLE: Final[frozenset[Kind]] = frozenset({"quarantined", "isolated"})

_MEANING: Final[dict[Kind, str]] = {
    "mass_removal": "{entries} vanished from the bank at once; none is told removed before somebody decides",
    "mass_creation": "{entries} appeared at once among what was told long ago; none is told before somebody decides",
    "emptiness": "the bank shows nothing of what it held ({entries}); believed when that lasts, or somebody says so",
    "unlisted": "the holder's profile lists the bank account no more; believed when that lasts, or somebody says so",
    "gone": "the bank account is gone",
    "hole": "a read stopped short: what lies between is not told yet",
    "quarantined": "{entries} cannot be understood as the bank shows them; the last form that could be is what is told",
    "isolated": "the stream is set aside: its writes fail, or errors in it that nobody foresaw; all others go on",
    "set_aside": "the account cannot be opened or read; nothing of it is told",
    "command": "a command cannot be understood; it is not applied",
}
_EFFECT: Final[dict[Kind, str]] = {
    "mass_removal": "{count} removals will be believed, and told with the next complete reads",
    "mass_creation": "{count} creations will be believed, and told with the next complete reads",
    "emptiness": "{count} removals will be believed, and told with the next complete reads",
    "unlisted": "the bank account will be believed gone: what stands on it is told removed, what was posted stays",
}


def entries_of(count: int) -> str:
    """`1 entry`, `2 entries`."""
    return "1 entry" if count == 1 else f"{count} entries"


def meaning(kind: Kind, count: int) -> str:
    """What it means that this is held."""
    return _MEANING[kind].format(entries=entries_of(count))


def effect(kind: Kind, count: int) -> str:
    """What accepting it will do."""
    return _EFFECT[kind].format(count=count)


def short(kind: Kind, count: int) -> str:
    """In two or three words: `mass removal of 60`."""
    name = kind.replace("_", " ")
    return f"{name} of {count}" if kind in {"mass_removal", "mass_creation", "emptiness"} else name


def next_step(kind: Kind, account_id: str, domain: str) -> str:
    """What an operator does about it."""
    if kind in DECIDABLE:
        return f"zindigi held accept {account_id} {domain} (or reject)"
    if kind == "quarantined":
        return f"zindigi held show {account_id} {domain}; once it is mended, zindigi held retry {account_id} {domain}"
    if kind == "isolated":
        return f"zindigi held retry {account_id} {domain}; it is tried again by itself, too"
    if kind == "set_aside":
        remove = f"zindigi link remove {account_id} and connect the holder anew"
        return f"put back the vault or journal that fits and restart, or {remove}"
    if kind == "command":
        return "make it anew, with the vault that the connector uses; this one is not tried before the next start"
    return "nothing: the next reads fill it"
