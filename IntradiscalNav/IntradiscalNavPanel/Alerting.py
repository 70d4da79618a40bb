"""Which tone is due: none while the needle isn't live, while it is muted, or where sound isn't wanted."""

STALE_SEC = 0.5


class Alerting:
    """Follows the parameters `navigation.sound` (sound at all) and `navigation.mute` (silent until a structure comes nearer)."""

    def __init__(self):
        self._wasMuted = False

    def start(self):
        """A new guidance session with a fresh alert."""
        self._wasMuted = False

    def follow(self, alerts, parameterNode):
        """Bring the parameter into the ProximityAlert; a mute that ended because a structure came nearer is unchecked."""
        mute = parameterNode.navigation.mute
        if mute and not self._wasMuted:
            alerts.mute()
        elif self._wasMuted and not mute:
            alerts.unmute()
        elif mute and not alerts.isMuted:
            parameterNode.navigation.mute = mute = False
        self._wasMuted = mute

    @staticmethod
    def tone(state, parameterNode, nowSec):
        """AlertSound that is due at a monotonic time, None for silence. `state` is the last SessionState or None."""
        if state is None or parameterNode is None or not parameterNode.navigation.sound:
            return None
        if nowSec - state.timeSec > STALE_SEC or not state.displayed.live:
            return None
        return state.displayed.alert.sound
