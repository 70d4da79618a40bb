"""What every part of the logic with actions of its own can do: refuse one with the reason that its button shows."""


class ActionOwner:
    """Base of classes that implement `whyNot(parameterNode, action)`: why an action can't be done now, empty if it can."""

    def whyNot(self, parameterNode, action):
        raise NotImplementedError

    def _require(self, parameterNode, action):
        """
        :raises ValueError: when the action can't be done now, with the reason
        """
        why = self.whyNot(parameterNode, action)
        if why:
            raise ValueError(why)
