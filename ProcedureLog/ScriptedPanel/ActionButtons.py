"""Buttons that can be pressed exactly when their action can be done, and say why when it can't."""

from slicer.i18n import tr as _


class ActionButtons:
    """A button for each action of a logic: a member of an Enum whose value is the name of the logic's method.

    The logic's `whyNot(parameterNode, action)` says why an action can't be done now, empty if it can. A switch is a button whose
    action goes on until it is pressed again.
    """

    def __init__(self, panel, logic, buttons, switches=None, shown=None):
        """
        :param panel: ModulePanel that runs the actions
        :param buttons: action -> QPushButton
        :param switches: action -> (isOn(), stop()), for those buttons that are switches
        :param shown: called with (action, result) after an action that worked
        """
        self._panel, self._logic, self._shown = panel, logic, shown
        self._buttons, self._switches = dict(buttons), dict(switches or {})
        self._toolTips = {action: button.toolTip for action, button in self._buttons.items()}
        for action, button in self._buttons.items():
            button.connect("clicked()", lambda action=action: self.press(action))

    def isOn(self, action):
        """Whether a switch is on now; never for a plain button."""
        return action in self._switches and self._switches[action][0]()

    def toolTipOf(self, action):
        """What the button says when it can be pressed."""
        return self._toolTips[action]

    def press(self, action):
        self._panel.run(lambda: self._do(action))

    def _do(self, action):
        if self.isOn(action):
            self._switches[action][1]()
            return
        result = getattr(self._logic, action.value)(self._panel.parameterNode)
        if self._shown is not None:
            self._shown(action, result)

    def update(self, parameterNode):
        """Enable and explain; `parameterNode` is None while the scene is being closed."""
        for action, button in self._buttons.items():
            isOn = parameterNode is not None and self.isOn(action)
            if parameterNode is None:
                why = _("The scene is being closed.")
            else:
                why = "" if isOn else self._logic.whyNot(parameterNode, action)
            button.enabled = not why
            button.toolTip = why or self._toolTips[action]
            if action in self._switches:
                button.checked = isOn
