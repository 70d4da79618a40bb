"""Writes the paths as JSON, as CSV and as one HTML page with pictures."""

import enum
import json
import pathlib

import slicer
from FusionRegistrationPanel.FusionRegistrationLogic import ijkToRasOf
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner


class PlanOutputAction(enum.Enum):
    """What can be asked of PlanOutput; the value is the name of its method."""

    Write = "write"


class PlanOutput(ActionOwner):
    """Held by the logic as `logic.planOutput`."""

    def __init__(self, logic):
        self._logic = logic

    def whyNot(self, parameterNode, action):
        """Why a PlanOutputAction can't be done now; empty if it can."""
        paths = self._logic.paths
        if not paths.book.entries:
            return _("Plan a path first.")
        if paths.isStale(parameterNode) or self._logic.shownTrajectory(parameterNode) is None:
            return _("The paths aren't checked as they are now: press Check first.")
        if parameterNode.planFolder == pathlib.Path():
            return _("Choose a folder for the plan first.")
        return paths.whyNotPlan(parameterNode)

    def write(self, parameterNode):
        """Write plan.json, plan.csv and plan.html into the folder, the active path first; returns their paths.

        :raises ValueError: when there is nothing to write, or a path isn't checked
        :raises OSError: when the folder can't be written to
        """
        from IntradiscalNavLib.Planning.PlanSerialization import trajectoriesToCsv

        self._require(parameterNode, PlanOutputAction.Write)
        paths = self._pathsActiveFirst(parameterNode)
        folder = pathlib.Path(parameterNode.planFolder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "plan.json": json.dumps(self.document(parameterNode), indent=2, ensure_ascii=False),
            "plan.csv": trajectoriesToCsv(paths),
            "plan.html": self.page(parameterNode).toHtml(),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        return tuple(folder / name for name in texts)

    def document(self, parameterNode):
        """The paths, the session and what they rest on, as plain values; readable as any plan of this program."""
        from IntradiscalNavLib.Planning.PlanSerialization import FORMAT, VERSION, trajectoryToDict

        logic, paths = self._logic, self._logic.paths
        return {
            "format": FORMAT,
            "version": VERSION,
            "frame": "RAS, mm",
            "level": parameterNode.plan.level.value,
            "side": parameterNode.plan.side.value,
            "levelEvidence": list(logic.level.evidence(parameterNode)),
            "levelConfirmed": logic.level.isConfirmed(parameterNode),
            "best": [trajectoryToDict(path) for path in self._pathsActiveFirst(parameterNode)],
            "session": {
                "steps": [
                    {
                        "order": needle.order,
                        "target": needle.targetName,
                        "path": needle.needleName,
                        "needleLengthMm": needle.needleLengthMm,
                        "reason": needle.reason,
                    }
                    for needle in paths.sessionSteps
                ],
                "unplanned": dict(paths.session.unplanned),
                "conflicts": list(paths.sessionConflicts),
            },
            "message": paths.message,
            "warnings": list(logic.anatomy(parameterNode).warnings),
            "parameters": logic.planningParameters(parameterNode).toDict(),
        }

    def page(self, parameterNode):
        """The PlanPage of the paths."""
        from IntradiscalNavLib.Planning.PlanReport import PageNeedle, PlanPage

        logic, paths = self._logic, self._logic.paths
        anatomy = logic.anatomy(parameterNode)
        shown = self._pathsActiveFirst(parameterNode)
        disc = anatomy.disc(parameterNode.plan.level.value)
        warnings = [*anatomy.warnings, *(_("Needles close: {pair}").format(pair=pair) for pair in paths.sessionConflicts)]
        warnings += [f"{name}: {why}" for name, why in paths.session.unplanned.items()]
        pictures, notes = self._pictures(parameterNode, anatomy, shown)
        return PlanPage(
            title=_("Plan: disc {level}, {name}").format(level=disc.level, name=shown[0].name),
            subtitle=_("Disc {height:.1f} mm high, {width:.0f} x {depth:.0f} mm; the first path of the table is the chosen one.").format(
                height=disc.heightMm, width=disc.widthMm, depth=disc.depthMm
            ),
            evidence="; ".join(logic.level.evidence(parameterNode)),
            paths=shown,
            parameters=logic.planningParameters(parameterNode),
            heading=_("Paths"),
            levelConfirmed=logic.level.isConfirmed(parameterNode),
            reasons=tuple(line for line in paths.message.splitlines() if line),
            warnings=tuple(warnings),
            needles=tuple(
                PageNeedle(needle.targetName, needle.needleLengthMm, needle.trajectory, needle.reason) for needle in paths.sessionSteps
            ),
            pictures=pictures,
            notes=notes,
        )

    def _pictures(self, parameterNode, anatomy, shown):
        """Pictures, and in words why there are none."""
        from IntradiscalNavLib.Planning.PlanReport import pathPictures, skinMapPictures

        ct, plan = parameterNode.ctVolume, self._logic.paths.lastPlan
        try:
            pictures = pathPictures(anatomy, slicer.util.arrayFromVolume(ct), ijkToRasOf(ct), shown)
            if plan is not None:
                pictures += skinMapPictures(plan, shown)
        except ImportError:
            return (), (_("Without pictures: the Python package Pillow, which draws them, isn't installed here."),)
        return tuple(pictures), ()

    def _pathsActiveFirst(self, parameterNode):
        active = self._logic.paths.selectedNumber(parameterNode)
        entries = sorted(self._logic.paths.book.entries, key=lambda entry: entry.number != active)
        return tuple(entry.trajectory for entry in entries)
