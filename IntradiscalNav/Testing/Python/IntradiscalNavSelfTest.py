"""Self tests of IntradiscalNav inside Slicer: plan, rehearse without hardware, save and reopen. Truth is the simulated patient."""

import pathlib
import tempfile
import time
import unittest

import numpy as np
import slicer
from IntradiscalNavPanel.IntradiscalNavLogic import IntradiscalNavLogic
from IntradiscalNavPanel.IntradiscalNavParameterNode import DiscLevel
from IntradiscalNavPanel.NavigationRules import NavigationAction
from IntradiscalNavPanel.Rehearsal import Rehearsal, addSimulatedPatient

PATIENCE_SEC = 120.0


class IntradiscalNavSelfTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        self.logic = IntradiscalNavLogic()
        self.node = self.logic.getParameterNode()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def tearDown(self):
        self.logic.close()
        slicer.mrmlScene.Clear()

    @staticmethod
    def parameters(spacingMm):
        from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

        return PhantomParameters(spacingMm=(spacingMm,) * 3)

    def tickUntil(self, done, what):
        deadline = time.monotonic() + PATIENCE_SEC
        while not done():
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}")
            self.logic.tick(self.node)
            slicer.app.processEvents()
            time.sleep(0.02)

    def test_everyActionSaysWhyItCannotBeDone(self):
        for action in set(NavigationAction) - {NavigationAction.Connect, NavigationAction.Rehearse}:
            self.assertTrue(self.logic.whyNot(self.node, action), action)
            with self.assertRaises(ValueError):
                getattr(self.logic, action.value)(self.node)

    def test_pathEndsInTheDisc(self):
        from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom

        phantom = buildLumbarPhantom(self.parameters(2.0))
        self.node.ctVolume, self.node.segmentation = addSimulatedPatient(phantom)
        self.node.plan.level = DiscLevel.L3L4
        self.logic.plan(self.node)
        entry, target = slicer.util.arrayFromMarkupsControlPoints(self.node.path, world=True)
        self.assertLess(np.linalg.norm(target - phantom.truth.discs["L3-L4"].centerRas), 10.0)
        self.assertGreater(np.linalg.norm(entry - target), 50.0)

    def test_rehearsalReachesTheTarget(self):
        self.node.caseFolder = self.folder
        self.logic.rehearsalParameters = self.parameters(2.0)
        insertionSec, Rehearsal.INSERTION_SEC = Rehearsal.INSERTION_SEC, 3.0
        self.addCleanup(setattr, Rehearsal, "INSERTION_SEC", insertionSec)
        self.logic.startRehearsal(self.node)
        self.tickUntil(lambda: self.logic.connection.stream.node("NeedleToReference") is not None, "the needle")
        for _step in range(3):
            self.logic.rehearseNext(self.node)
        self.tickUntil(lambda: self.logic.reachedTarget, "the needle to reach the target")
        tip = self.logic.state.needleTipToRas[:3, 3]
        self.assertLess(np.linalg.norm(tip - slicer.util.arrayFromMarkupsControlPoints(self.node.path, world=True)[1]), 4.0)
        self.logic.stopRecording()
        saved = self.logic.saveScene(self.node)
        self.logic.stopRehearsal()
        slicer.mrmlScene.Clear()
        slicer.util.loadScene(str(saved))
        node = self.logic.getParameterNode()
        self.assertEqual(node.path.GetNumberOfDefinedControlPoints(), 2)
        self.assertIsNotNone(self.logic.registrationFit())

    def test_parametersSurviveSaving(self):
        self.node.plan.needleLengthMm, self.node.plan.level = 120.0, DiscLevel.L5S1
        path = self.folder / "scene.mrb"
        self.assertTrue(slicer.util.saveScene(str(path)))
        slicer.mrmlScene.Clear()
        slicer.util.loadScene(str(path))
        node = self.logic.getParameterNode()
        self.assertEqual((node.plan.needleLengthMm, node.plan.level), (120.0, DiscLevel.L5S1))
