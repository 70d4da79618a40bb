"""One timer does the work: events only mark that something arrived, ``tick`` computes and updates the views, at most so often.

In Slicer a QTimer of 33 ms calls ``tick``; headless a loop does. Between two ticks any number of events costs nothing more.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.NavigationViews import NavigationViews
from IntradiscalNavLib.Views.SessionState import SessionState
from TranslatedText.Translation import tr as _

QUIET_TICK_SEC = 0.2
"""Without any event the state is still recomputed this often: a tool goes stale by silence."""


class ViewUpdater:
    """Coalesces the stream's events into ticks.

    ``costSec`` holds what the latest ticks took (without rendering), for the measured-cost display.
    """

    def __init__(self, session: GuidanceSession, views: NavigationViews | None = None, maximumRateHz: float = 30.0) -> None:
        if maximumRateHz <= 0:
            raise ValueError(_("The rate of updates must be above 0 Hz."))
        self.session, self.views = session, views
        self.periodSec = 1.0 / maximumRateHz
        self.state: SessionState | None = None
        self.costSec: deque[float] = deque(maxlen=300)
        self.ticks = 0
        self._dirty = True
        self._lastSec = float("-inf")
        self._observed: list[tuple[Any, int]] = []

    def observe(self, node: Any, event: int) -> None:
        """Mark arrivals from a node (TransformModifiedEvent, ImageDataModifiedEvent)."""
        self._observed.append((node, node.AddObserver(event, self._mark)))

    def _mark(self, *_arguments: object) -> None:
        self._dirty = True

    def markChanged(self) -> None:
        """Ask for work at the next tick, as after a click in the panel."""
        self._dirty = True

    def tick(self, nowSec: float) -> SessionState | None:
        """Do the work that is due.

        :param nowSec: monotonic time, the clock of the tool statuses.
        :returns: the new state, or None when nothing was due.
        """
        elapsed = nowSec - self._lastSec
        # A tenth of the period's slack: a timer that fires a little early must not halve the rate.
        if elapsed < 0.9 * self.periodSec or not (self._dirty or elapsed >= QUIET_TICK_SEC):
            return None
        self._dirty, self._lastSec = False, nowSec
        begin = time.perf_counter()
        self.state = self.session.update(nowSec)
        if self.views is not None:
            self.views.update(self.state)
        self.costSec.append(time.perf_counter() - begin)
        self.ticks += 1
        return self.state

    def close(self) -> None:
        """Stop observing."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed.clear()
