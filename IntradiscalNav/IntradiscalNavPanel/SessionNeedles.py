"""The needles of a session: which paths of the book they are, in which order, and how long a needle each takes."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class SessionNeedle:
    """One needle of the session where its path lies now. `order` counts from 1, `number` is the path's in the book; RAS, mm."""

    order: int
    number: int
    needleName: str
    targetName: str
    entryRas: Any
    targetRas: Any
    needleLengthMm: float
    reason: str
    trajectory: Any


@dataclasses.dataclass(frozen=True)
class SessionNeedles:
    """`steps` holds a dict of session, number, targetName, needleLengthMm and reason for each needle of every session planned so far, so
    that undo brings an older one back; `unplanned` says why a target has none."""

    steps: tuple = ()
    unplanned: dict = dataclasses.field(default_factory=dict)

    def withPlan(self, session, numbers):
        """With a new SessionPlan whose paths are in the book by these numbers."""
        index = 1 + max((step["session"] for step in self.steps), default=0)
        steps = tuple(
            {
                "session": index,
                "number": number,
                "targetName": step.target.name,
                "needleLengthMm": step.needleLengthMm,
                "reason": step.reason,
            }
            for number, step in zip(numbers, session.steps)
        )
        return SessionNeedles(self.steps + steps, dict(session.unplanned))

    def needles(self, book):
        """SessionNeedles of the latest session in order; a needle whose path was removed from the book is left out."""
        from IntradiscalNavLib.Planning.TrajectoryBook import SESSION

        entries = {entry.number: entry for entry in book.entries if entry.origin == SESSION}
        latest = max((step["session"] for step in self.steps if step["number"] in entries), default=0)
        return tuple(
            SessionNeedle(
                order,
                step["number"],
                entries[step["number"]].name,
                step["targetName"],
                entries[step["number"]].trajectory.entryRas,
                entries[step["number"]].trajectory.targetRas,
                step["needleLengthMm"],
                step["reason"],
                entries[step["number"]].trajectory,
            )
            for order, step in enumerate((step for step in self.steps if step["session"] == latest), start=1)
            if step["number"] in entries
        )

    def conflicts(self, book):
        """Pairs of needles that stand too near to each other where the paths lie now, in words."""
        from IntradiscalNavLib.Planning.SessionPlan import needleGaps

        needles = self.needles(book)
        if len(needles) < 2:
            return ()
        return needleGaps([(needle.targetName, needle.trajectory, needle.needleLengthMm) for needle in needles]).conflicts

    def toDict(self):
        return {"steps": list(self.steps), "unplanned": self.unplanned}

    @staticmethod
    def fromDict(values):
        """Inverse of `toDict`.

        :raises KeyError: when a field is missing
        """
        steps = tuple(
            {
                "session": int(step["session"]),
                "number": int(step["number"]),
                "targetName": str(step["targetName"]),
                "needleLengthMm": float(step["needleLengthMm"]),
                "reason": str(step["reason"]),
            }
            for step in values.get("steps", ())
        )
        return SessionNeedles(steps, dict(values.get("unplanned", {})))
