"""Self tests of FusionRegistration inside Slicer: plate, points, bone surface, saving. Truth is the simulated patient."""

import json
import os
import pathlib
import tempfile
import unittest

import numpy as np
import slicer
from FusionRegistrationPanel.FusionRegistrationLogic import FusionRegistrationLogic

COARSE_MM = (2.0, 2.0, 2.0)


def addPoints(name, points):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    slicer.util.updateMarkupsControlPointsFromArray(node, np.asarray(points, float))
    return node


class FusionRegistrationSelfTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        self.logic = FusionRegistrationLogic()
        self.node = self.logic.getParameterNode()

    def tearDown(self):
        slicer.mrmlScene.Clear()

    def addPatient(self):
        """CT of the simulated patient as the module's CT; returns its truth."""
        import IntradiscalNavPanel  # noqa: F401  (finds the sibling modules in a source tree)

        from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
        from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

        phantom = buildLumbarPhantom(PhantomParameters(spacingMm=COARSE_MM))
        self.node.ctVolume = slicer.util.addVolumeFromArray(phantom.voxels, ijkToRAS=phantom.ijkToRas, name="CT")
        return phantom.truth

    def errorAt(self, truth, level):
        """Target registration error in mm at the centre of a disc."""
        center = np.append(truth.discs[level].centerRas, 1)
        found = slicer.util.arrayFromTransformMatrix(self.node.referenceToRas) @ np.linalg.inv(truth.referenceToRas) @ center
        return np.linalg.norm(found[:3] - center[:3])

    def test_markersGiveTheRegistration(self):
        truth = self.addPatient()
        from IntradiscalNavLib.Simulation.MarkerPlateShape import plateDefinition

        with tempfile.TemporaryDirectory() as folder:
            self.node.plateFile = pathlib.Path(folder) / "plate.json"
            self.node.plateFile.write_text(json.dumps(plateDefinition()), encoding="utf-8")
            self.logic.findMarkers(self.node)
            self.logic.registerPlate(self.node)
        self.assertLess(self.errorAt(truth, "L4-L5"), 1.5)

    def test_wrongPointIsLeftOut(self):
        random = np.random.default_rng(3)
        points = random.uniform(-60, 60, (7, 3))
        moved = points + np.array([5.0, -7.0, 9.0])
        moved[4] += [0, 12.0, 0]
        self.node.referencePoints, self.node.ctPoints = addPoints("Reference", points), addPoints("Ct", moved)
        self.logic.registerPoints(self.node)
        fit = self.logic.fitOf(self.node)
        self.assertEqual([name for name, used in zip(fit.pointNames, fit.used) if used], ["Ct-1", "Ct-2", "Ct-3", "Ct-4", "Ct-6", "Ct-7"])
        np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(self.node.referenceToRas)[:3, 3], [5, -7, 9], atol=1e-6)

    def test_tooFewPointsAreRefused(self):
        self.node.referencePoints, self.node.ctPoints = addPoints("Reference", np.eye(3)[:2] * 50), addPoints("Ct", np.eye(3)[:2] * 50)
        with self.assertRaises(ValueError):
            self.logic.registerPoints(self.node)

    def test_registrationSurvivesSaving(self):
        points = np.array([[0, 0, 0], [60, 0, 0], [0, 70, 0], [50, 60, 30.0]])
        self.node.referencePoints, self.node.ctPoints = addPoints("Reference", points), addPoints("Ct", points + np.array([1.0, 2.0, 3.0]))
        self.logic.registerPoints(self.node)
        before = self.logic.verdict(self.node).text
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "scene.mrb")
            self.assertTrue(slicer.util.saveScene(path))
            slicer.mrmlScene.Clear()
            slicer.util.loadScene(path)
        node = self.logic.getParameterNode()
        self.assertEqual(self.logic.verdict(node).text, before)
        np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(node.referenceToRas)[:3, 3], [1, 2, 3], atol=1e-5)

    def test_boneIsFoundInTheCt(self):
        self.addPatient()
        self.logic.extractBone(self.node)
        self.assertGreater(self.node.surface.boneSurface.GetPolyData().GetNumberOfPoints(), 1000)
