"""The alert's sound: which tone is asked for when, and what of Qt plays it. Whether it is heard can't be tested here."""

import pathlib
import time
import types

import numpy as np
from StreamedProcedure import clearanceTip


class Player:
    def __init__(self):
        self.calls = []

    def play(self, wav):
        import io
        import wave

        with wave.open(io.BytesIO(wav)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            beep = samples[: int(0.1 * file.getframerate())].astype(float)
            self.calls.append(round(np.abs(np.fft.rfft(beep)).argmax() * file.getframerate() / len(beep), -1))

    def stop(self):
        self.calls.append("stop")


def test_soundFollowsTheAlertAndFallsSilent(nearNerves):
    """440 Hz near, 880 Hz too near; muted until it comes nearer; never for a needle that isn't live."""
    p = nearNerves
    section = next(section for section in p.panel.sections if hasattr(section, "sound"))
    player = section.sound._player = Player()
    p.start()
    near, breach = clearanceTip(4.5), clearanceTip(2.0)
    p.turn(*clearanceTip(12.0))
    assert player.calls == []
    p.turn(*near)
    assert player.calls == ["stop", 440]
    p.turn(*near)
    assert player.calls == ["stop", 440], "one beep lasts until the next is due"
    p.ui.muteCheck.checked = True
    p.turn(*near)
    assert player.calls[2:] == ["stop"]
    p.turn(*breach)
    p.turn(*breach)
    assert player.calls[3:] == ["stop", 880] and not p.ui.muteCheck.checked, "a mute can't hide what comes nearer"
    time.sleep(0.6)
    p.turn(None)
    assert player.calls[5:] == ["stop"], "not live"
    p.ui.soundCheck.checked = False
    p.turn(*breach)
    assert player.calls[6:] == []
    p.ui.soundCheck.checked = True
    p.turn(*breach)
    assert player.calls[-1] == 880
    p.ui.guideButton.click()
    assert player.calls[-1] == "stop" and not p.logic.isGuiding


def test_playerIsTheBestThatQtOffers(panels):
    panels.load("IntradiscalNav")
    from IntradiscalNavSections.AlertSound import makePlayer

    told = []

    class Sound:
        def __init__(self, path=None):
            self.path = path

        def setSource(self, url):
            self.path = url

        def play(self):
            told.append((type(self).__name__, pathlib.Path(self.path).read_bytes()))

        def stop(self):
            told.append("stop")

    class Effect(Sound):
        pass

    url = types.SimpleNamespace(fromLocalFile=lambda path: path)
    beep = types.SimpleNamespace(beep=lambda: told.append("beep"))
    for offered in (
        types.SimpleNamespace(QSoundEffect=Effect, QSound=Sound, QUrl=url, QApplication=beep),
        types.SimpleNamespace(QSound=Sound, QApplication=beep),
        types.SimpleNamespace(QApplication=beep),
    ):
        player = makePlayer(offered)
        player.play(b"wav")
        player.play(b"wav")
        player.stop()
    assert told == [("Effect", b"wav")] * 2 + ["stop"] + [("Sound", b"wav")] * 2 + ["stop"] + ["beep"] * 2
