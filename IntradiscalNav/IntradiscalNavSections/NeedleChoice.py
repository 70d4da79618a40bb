"""The combo box of the planned needles: shows the active one, and makes another one active in one action."""

from slicer.i18n import tr as _


class NeedleChoice:
    def __init__(self, panel, comboBox):
        self._panel, self._comboBox, self._logic = panel, comboBox, panel.logic
        self._shown, self._filling = None, False
        comboBox.connect("currentIndexChanged(int)", self._onChosen)

    def update(self, parameterNode):
        """`parameterNode` is None while the scene is being closed."""
        needles = self._logic.needles.planned(parameterNode) if parameterNode is not None else ()
        active = self._logic.needles.active(parameterNode) if parameterNode is not None else None
        shown = tuple((needle.name, needle.targetName, needle.pathLengthMm, needle.whyNot) for needle in needles)
        self._filling = True
        if shown != self._shown:
            self._shown = shown
            self._comboBox.clear()
            for needle in needles:
                text = _("{name} → {target}, {length:.0f} mm").format(
                    name=needle.name, target=needle.targetName, length=needle.pathLengthMm
                )
                self._comboBox.addItem(f"△ {text}" if needle.whyNot else text, needle.name)
        names = [needle.name for needle in needles]
        self._comboBox.currentIndex = names.index(active.name) if active is not None else -1
        self._filling = False
        self._comboBox.enabled = bool(needles)
        self._comboBox.toolTip = (
            _("Planned needles with their targets; choosing one makes it active") if needles else _("Plan a path first.")
        )

    def _onChosen(self, index):
        if self._filling or index < 0:
            return
        name = self._shown[index][0]
        self._panel.run(lambda: self._logic.needles.activate(self._panel.parameterNode, name))
