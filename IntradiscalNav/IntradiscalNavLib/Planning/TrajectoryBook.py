"""The operator's paths: add, drag, lock, name, duplicate, compare, with undo. Plain data: the scene shows it, it does not know the
scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from IntradiscalNavLib.Planning.PlanSerialization import trajectoryFromDict, trajectoryToDict
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Planning.TrajectoryStatus import statusOf
from TranslatedText.Translation import tr as _

MAX_UNDO = 200
OWN, OFFERED, SESSION = "own", "offered", "session"
"""Where a path comes from: the operator, a plan, or a plan of the whole session."""


@dataclass(frozen=True)
class BookEntry:
    """A path of the book: its number (never used twice), whether it is locked against dragging, the path with its name, and its origin
    (``OWN``, ``OFFERED`` or ``SESSION``)."""

    number: int
    trajectory: Trajectory
    locked: bool = False
    origin: str = OWN

    @property
    def name(self) -> str:
        """The path's name."""
        return self.trajectory.name


class TrajectoryBook:
    """Named paths with undo and redo. Every change is one step; dragging is one step from press to release."""

    def __init__(self, trajectories: Iterable[Trajectory] = ()) -> None:
        self._next = 1
        self._entries: tuple[BookEntry, ...] = ()
        self._past: list[tuple[BookEntry, ...]] = []
        self._future: list[tuple[BookEntry, ...]] = []
        self._dragging = 0
        for trajectory in trajectories:
            self._entries += (BookEntry(self._take(), self._uniquelyNamed(trajectory)),)

    @property
    def entries(self) -> tuple[BookEntry, ...]:
        """All paths in their order."""
        return self._entries

    @property
    def canUndo(self) -> bool:
        """Whether a step can be undone."""
        return bool(self._past)

    @property
    def canRedo(self) -> bool:
        """Whether an undone step can be done again."""
        return bool(self._future)

    def entry(self, number: int) -> BookEntry:
        """The path of a number.

        :raises ValueError: when there is none.
        """
        for entry in self._entries:
            if entry.number == number:
                return entry
        raise ValueError(
            _("There is no path number {number}; there are {names}.").format(
                number=number, names=", ".join(str(e.number) for e in self._entries) or "none"
            )
        )

    def add(self, trajectory: Trajectory) -> int:
        """Add a path; a name that is taken gets a number. Returns its number."""
        number = self._take()
        self._change((*self._entries, BookEntry(number, self._uniquelyNamed(trajectory))))
        return number

    def replaceOrigin(self, origin: str, trajectories: Iterable[Trajectory]) -> tuple[int, ...]:
        """Put new paths of an origin in the place of its older ones, as one step; locked ones stay. Returns the new numbers."""
        before, kept = self._entries, tuple(entry for entry in self._entries if entry.locked or entry.origin != origin)
        added: list[BookEntry] = []
        for trajectory in trajectories:
            self._entries = (*kept, *added)  # names are unique among these
            added.append(BookEntry(self._take(), self._uniquelyNamed(trajectory), origin=origin))
        self._entries = before
        # The offered stand before the operator's own, which were there longer: the newest answer is seen first.
        self._change((*added, *kept))
        return tuple(entry.number for entry in added)

    def reevaluate(self, trajectories: Mapping[int, Trajectory]) -> None:
        """Take new numbers of the same paths (other limits, another registration) as one step; names, locks and origins stay.

        :raises ValueError: when there is no path of a number.
        """
        for number in trajectories:
            self.entry(number)
        changed = tuple(
            replace(entry, trajectory=replace(trajectories[entry.number], name=entry.name)) if entry.number in trajectories else entry
            for entry in self._entries
        )
        self._change(changed)

    def duplicate(self, number: int) -> int:
        """Copy a path, unlocked, after the others. Returns the copy's number."""
        return self.add(replace(self.entry(number).trajectory, name=f"{self.entry(number).name} copy"))

    def remove(self, number: int) -> None:
        """Remove a path.

        :raises ValueError: when it is locked.
        """
        self._unlocked(number, "removed")
        self._change(tuple(entry for entry in self._entries if entry.number != number))

    def rename(self, number: int, name: str) -> None:
        """Give a path another name.

        :raises ValueError: for an empty name or one that is taken.
        """
        text = name.strip()
        if not text:
            raise ValueError(_("A path needs a name."))
        if any(entry.name == text and entry.number != number for entry in self._entries):
            raise ValueError(_("Another path is called '{text}' already.").format(text=text))
        entry = self.entry(number)
        self._replace(replace(entry, trajectory=replace(entry.trajectory, name=text)))

    def setLocked(self, number: int, locked: bool) -> None:
        """Lock a path against dragging and removal, or release it."""
        self._replace(replace(self.entry(number), locked=locked))

    def drag(self, number: int, trajectory: Trajectory) -> None:
        """Move a path while it is dragged: all moves up to ``endDrag`` are one step of undo. The name stays; an offered path becomes the
        operator's own.

        :raises ValueError: when it is locked.
        """
        entry = self._unlocked(number, "moved")
        origin = OWN if entry.origin == OFFERED else entry.origin
        moved = replace(entry, trajectory=replace(trajectory, name=entry.name), origin=origin)
        if self._dragging != number:
            self._remember()
            self._dragging = number
        self._entries = tuple(moved if e.number == number else e for e in self._entries)

    def endDrag(self) -> None:
        """The drag is over: the next one is a step of its own."""
        self._dragging = 0

    def undo(self) -> bool:
        """Take back the last step; False when there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Do the step taken back last again; False when there is none."""
        return self._step(self._future, self._past)

    def compare(self, numbers: Iterable[int] | None = None) -> list[dict[str, Any]]:
        """One row per path for a table: name, status, angles, depth, clearances, limits' tightest, probability, score."""
        chosen = self._entries if numbers is None else [self.entry(number) for number in numbers]
        rows = []
        for entry in chosen:
            t = entry.trajectory
            rows.append(
                {
                    "number": entry.number,
                    "name": entry.name,
                    "locked": entry.locked,
                    "status": statusOf(t).value,
                    "side": t.side,
                    "medialInclinationDeg": t.medialInclinationDeg,
                    "caudalTiltDeg": t.caudalTiltDeg,
                    "entryDistanceStraightMm": t.entryDistanceStraightMm,
                    "lengthMm": t.lengthMm,
                    **{f"{name}ClearanceMm": value for name, value in t.clearancesMm.items()},
                    "violationProbability": t.violationProbability,
                    "score": t.score,
                    "limitedBy": t.limitedBy,
                }
            )
        return rows

    def toDict(self) -> dict[str, Any]:
        """The paths as plain JSON values, for the scene (undo history is not kept)."""
        return {
            "entries": [
                {"number": e.number, "locked": e.locked, "origin": e.origin, "trajectory": trajectoryToDict(e.trajectory)}
                for e in self._entries
            ]
        }

    @staticmethod
    def fromDict(values: Mapping[str, Any]) -> TrajectoryBook:
        """Inverse of ``toDict``.

        :raises ValueError: when a path is unreadable or a number occurs twice.
        """
        book = TrajectoryBook()
        entries = tuple(
            BookEntry(
                int(item["number"]), trajectoryFromDict(item["trajectory"]), bool(item.get("locked", False)), str(item.get("origin", OWN))
            )
            for item in values["entries"]
        )
        if len({entry.number for entry in entries}) != len(entries):
            raise ValueError(_("The saved paths hold a number twice."))
        book._entries = entries
        book._next = 1 + max((entry.number for entry in entries), default=0)
        return book

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def _uniquelyNamed(self, trajectory: Trajectory) -> Trajectory:
        taken = {entry.name for entry in self._entries}
        base = trajectory.name.strip() or "path"
        name, n = base, 2
        while name in taken:
            name, n = f"{base} {n}", n + 1
        return replace(trajectory, name=name)

    def _unlocked(self, number: int, verb: str) -> BookEntry:
        entry = self.entry(number)
        if entry.locked:
            raise ValueError(_("'{entryName}' is locked and cannot be {verb}; unlock it first.").format(entryName=entry.name, verb=verb))
        return entry

    def _remember(self) -> None:
        self._past.append(self._entries)
        del self._past[:-MAX_UNDO]
        self._future.clear()

    def _change(self, entries: tuple[BookEntry, ...]) -> None:
        self._remember()
        self._dragging = 0
        self._entries = entries

    def _replace(self, changed: BookEntry) -> None:
        self._change(tuple(changed if entry.number == changed.number else entry for entry in self._entries))

    def _step(self, source: list[tuple[BookEntry, ...]], other: list[tuple[BookEntry, ...]]) -> bool:
        if not source:
            return False
        self._dragging = 0
        other.append(self._entries)
        self._entries = source.pop()
        return True
