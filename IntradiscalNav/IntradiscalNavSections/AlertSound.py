"""Plays the tone that the logic asks for, by what Qt offers: QSoundEffect, QSound, else the system's beep."""

import pathlib
import tempfile

BEEP_PERIOD_SEC = 0.12


class AlertSound:
    """`follow` at every turn of the panel. Each beep is started by a turn: a panel that stands still falls silent."""

    def __init__(self, player=None):
        """player: object with `play(wav)` and `stop()`; default what Qt offers here."""
        self._player = player
        self._tone, self._startedSec = None, float("-inf")

    def follow(self, tone, nowSec):
        """`tone` is the AlertSound that is due at this monotonic time (IntradiscalNavLib.Guidance.ProximityAlert), or None for silence."""
        if tone is None:
            self.stop()
            return
        if tone == self._tone and nowSec - self._startedSec < BEEP_PERIOD_SEC + tone.intervalSec:
            return
        from IntradiscalNavLib.Guidance.AlertTone import toneWav

        if self._player is None:
            self._player = makePlayer()
        if tone != self._tone:
            self._player.stop()
        self._tone, self._startedSec = tone, nowSec
        self._player.play(toneWav(tone))

    def stop(self):
        """Silence, at once."""
        if self._tone is not None:
            self._player.stop()
        self._tone = None


def makePlayer(qtModule=None):
    """Player on the best of what this Qt has. QSoundEffect is in Qt 5 and 6, QSound in Qt 5 only; both need Qt Multimedia."""
    if qtModule is None:
        import qt as qtModule
    if hasattr(qtModule, "QSoundEffect"):
        return FilePlayer(lambda path: _effect(qtModule, path))
    if hasattr(qtModule, "QSound"):
        return FilePlayer(qtModule.QSound)
    return BeepPlayer(qtModule.QApplication)


def _effect(qtModule, path):
    effect = qtModule.QSoundEffect()
    effect.setSource(qtModule.QUrl.fromLocalFile(path))
    return effect


class FilePlayer:
    """Plays WAV files, kept in a folder that goes with the player."""

    def __init__(self, open_):
        self._open, self._sounds = open_, {}
        self._folder = tempfile.TemporaryDirectory(prefix="IntradiscalNavSound")

    def play(self, wav):
        if wav not in self._sounds:
            path = pathlib.Path(self._folder.name) / f"tone{len(self._sounds)}.wav"
            path.write_bytes(wav)
            self._sounds[wav] = self._open(str(path))
        self._sounds[wav].play()

    def stop(self):
        for sound in self._sounds.values():
            sound.stop()


class BeepPlayer:
    """The system's beep: no pitch, but the pace of the alert."""

    def __init__(self, application):
        self._application = application

    def play(self, wav):
        self._application.beep()

    def stop(self):
        """A beep ends by itself."""
