"""Orders: whoever carries out commands on one life. Targets are chosen by age where no entity is named.

Commands draw from a hand of their own, so that they change nothing of what the seeded lives go on to do elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.sandbox.life import Life
    from connector.sandbox.people import Hand


class Orders:
    """The life that commands are carried out on, the hand that draws for them, and how many there were."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.hand: Hand = life.hand("command")
        self._serial = 0

    def serial(self) -> int:
        """The next number: what is changed on command never looks as it did before."""
        self._serial += 1
        return self._serial
