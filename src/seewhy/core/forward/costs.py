"""What was spent: a log of forwards, backwards and seconds; measures nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Event", "Spent"]


@dataclass(frozen=True, eq=False)
class Event:
    """One forward, backward or stream: passes counted in samples that went through the network, and seconds.

    ``by_image`` says how many forwards and backwards every image took, where they do not share alike; ``checks`` counts
    samples that went through the eager network besides, for comparison.
    """

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0
    by_image: tuple[tuple[int, int], ...] = ()
    checks: int = 0

    def of(self, image: int, batch: int) -> tuple[float, float]:
        """What one image of ``batch`` took: (forwards, backwards)."""
        return self.by_image[image] if self.by_image else (self.forwards / batch, self.backwards / batch)


@dataclass
class Spent:
    """A log of events. What several jobs share is one event in each one's log, so logs can be united without counting
    twice."""

    events: list[Event] = field(default_factory=list)

    @property
    def forwards(self) -> int:
        """Samples sent forward."""
        return sum(event.forwards for event in self.events)

    @property
    def backwards(self) -> int:
        """Samples differentiated."""
        return sum(event.backwards for event in self.events)

    @property
    def checks(self) -> int:
        """Samples sent through the eager network to compare a prepared one with it."""
        return sum(event.checks for event in self.events)

    @property
    def seconds(self) -> float:
        """Wall time."""
        return sum(event.seconds for event in self.events)

    def of(self, image: int, batch: int) -> tuple[int, int]:
        """What one image of ``batch`` took: (forwards, backwards)."""
        pairs = [event.of(image, batch) for event in self.events]
        return round(sum(forwards for forwards, _ in pairs)), round(sum(backwards for _, backwards in pairs))

    def united(self, *others: Spent) -> Spent:
        """This log and the others, every event once."""
        return Spent(list(dict.fromkeys(event for log in (self, *others) for event in log.events)))
