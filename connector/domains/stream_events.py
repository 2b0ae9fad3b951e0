"""The events of a stream itself, which every domain has beside its own: op `s`, `before` and `after` are null."""

from __future__ import annotations

from typing import Final

from connector.domains.model import EventDoc

EPOCH_BEGAN: Final = EventDoc(
    when=(
        "The journal went on as another branch: it was restored from a backup, or an operator asked for it. The first "
        "event of the stream in that `epoch`; `reason` is the epoch that it branches off from."
    ),
    then=(
        "Take back every event of the stream that another epoch told with a `sequence` at or above this one: it is "
        "void. Then go on. The same event under the key `shard/<number>` (topic lifecycle) comes after those of all "
        "streams of the shard: a stream of that partition that has none until then is void from its beginning."
    ),
)
"""What every stream tells, that of a link and that of a shard as well."""

STREAM_EVENT_TYPES: dict[str, EventDoc] = {
    "StreamOpened": EventDoc(
        when="The first commit of a stream, or the first after it was closed.",
        then=(
            "Count its sequence. Entities that are in state from before it closed are still valid; what changed "
            "meanwhile follows."
        ),
    ),
    "BackfillCompleted": EventDoc(
        when="Every resource of the stream was read back to the start of its history for the first time.",
        then="From here on the fold of the stream is the bank's present state; until here it was a part of it.",
    ),
    "StreamClosed": EventDoc(
        when=(
            "The stream will not be read any more: `reason` is `consent` (not covered any more), `tier` (the holder "
            "may not hold it) or `link` (the link does not want it)."
        ),
        then=(
            "Keep the entities as last seen, or drop them as your purpose demands: a closed stream tells no removals, "
            "and says nothing of what happens later."
        ),
    ),
    "EntryBelowFloor": EventDoc(
        when=(
            "A complete read shows an entry that is older than anything the resource still remembers and was not there "
            "before: it was back-dated beyond the window."
        ),
        then=(
            "Have it looked at: no other event tells this entry. It has no content; `entity_id` is the bank's id of it."
        ),
    ),
    "EntryQuarantined": EventDoc(
        when=(
            "The bank shows an entry in a form that cannot be understood, or that does not fit: `reason` says why, "
            "`field` names the field, where it is one."
        ),
        then=(
            "Keep the entity as last told, if it was: the bank's own form of it is another one by now, until "
            "`EntryReadable`. Checkpoints count it."
        ),
    ),
    "EntryReadable": EventDoc(
        when=(
            "A quarantined entry is understood again, in which case its change stands before this event in the stream; "
            "or `reason` says that it is `removed` from the bank, or `forgotten`, because it left the window."
        ),
        then="Take the entity as told: what `EntryQuarantined` set off is over.",
    ),
    "EpochBegan": EPOCH_BEGAN,
}
