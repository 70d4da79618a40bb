"""What the operator knows of the localisation error, in the panel of FusionRegistration: it changes the predicted error."""

import numpy as np
import pytest
from RegistrationScene import fill

BACK = np.array([[-60, 0, -50], [-10, 4, -55], [50, -3, -40], [-50, -2, 30], [5, 5, 10], [55, 0, 45.0]])  # a flat layout, across is A
DISC = np.array([[0, 80.0, 0]])


@pytest.fixture
def panel(panels):
    panel = panels.openPanel("FusionRegistration")
    random = np.random.default_rng(12)
    panel.ui.anyOrderCheck.checked = False
    fill(panel.ui.ctPointsSelector, BACK + random.normal(0, 0.3, BACK.shape))
    fill(panel.ui.referencePointsSelector, BACK)
    fill(panel.ui.targetsSelector, DISC, ("L4-L5",))
    return panel


def register(panel, direction, ratio=1.0):
    panel.ui.fleDirectionCombo.setCurrentText(direction)
    panel.ui.fleRatioSpin.value = ratio
    panel.ui.registerPointsButton.click()
    return panel.logic.fitOf(panel._parameterNode)


def test_directionChangesTheBoundAtTheDisc(panel):
    assert not panel.ui.fleRatioSpin.enabled and "direction" in panel.ui.fleRatioSpin.toolTip
    unknown = register(panel, "not known")
    even = register(panel, "the same in all directions")
    across = register(panel, "front to back")
    assert panel.ui.fleRatioSpin.enabled
    bounds = [fit.predictedTre["L4-L5"].p95Mm for fit in (even, unknown, across)]
    assert bounds[0] < bounds[1] < bounds[2]
    np.testing.assert_array_equal(across.fromToTo, unknown.fromToTo)
    np.testing.assert_array_equal(across.longAxisTo, [0, 1, 0])
    assert even.isotropicFle and even.longAxisTo is None


def test_ratioWeighsTheFit(panel):
    """With a ratio the fit trusts the directions along the layout more: what it leaves over costs less by that measure."""
    plain, weighed = register(panel, "not known"), register(panel, "front to back", 4.0)
    np.testing.assert_allclose(weighed.toCovariances[0], np.diag([1.0, 16.0, 1.0]))
    assert np.abs(plain.fromToTo - weighed.fromToTo).max() > 1e-6
    free = weighed.residualVectorsMm
    cost = (free[:, [0, 2]] ** 2).sum() + (free[:, 1] ** 2).sum() / 16
    assert cost < (plain.residualVectorsMm[:, [0, 2]] ** 2).sum() + (plain.residualVectorsMm[:, 1] ** 2).sum() / 16


def test_directionIsKeptWithTheScene(panels, panel, tmp_path):
    import slicer

    before = register(panel, "head to feet", 2.5)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panels.scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.enter()
    assert panel.ui.fleDirectionCombo.currentText == "head to feet" and panel.ui.fleRatioSpin.value == 2.5
    panel.ui.registerPointsButton.click()
    fit = panel.logic.fitOf(panel._parameterNode)
    assert fit.predictedTre["L4-L5"].p95Mm == pytest.approx(before.predictedTre["L4-L5"].p95Mm, rel=1e-4)
