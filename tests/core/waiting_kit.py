"""Stand-ins for what a call waits with."""

from __future__ import annotations

from collections.abc import Callable


class Bell:
    """Counts how often it is rung."""

    def __init__(self) -> None:
        self.n_rung = 0

    def ring(self) -> None:
        self.n_rung += 1


class Waits:
    """In the place of an IO: notes its bells and for how long it would wait, and does what it is told meanwhile."""

    def __init__(self, *meanwhile: Callable[[], object]) -> None:
        self.bells: list[Bell] = []
        self.heard: list[float | None] = []
        self._meanwhile = list(meanwhile)

    def bell(self) -> Bell:
        self.bells.append(Bell())
        return self.bells[-1]

    async def hear(self, bell: Bell, seconds: float | None) -> None:
        assert bell is self.bells[-1]
        self.heard.append(seconds)
        self._meanwhile.pop(0)()
