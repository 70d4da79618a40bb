"""Self tests of ProcedureLog inside Slicer: a case from opening to the report."""

import pathlib
import tempfile
import unittest

import slicer
from ProcedureLogPanel.ProcedureLogLogic import LogAction, ProcedureLogLogic


class ProcedureLogSelfTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        self.logic = ProcedureLogLogic()
        self.node = self.logic.getParameterNode()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def tearDown(self):
        slicer.mrmlScene.Clear()

    def openCase(self, pseudonym="SelfTest"):
        self.node.caseFolder = self.folder / pseudonym
        self.node.pseudonym = pseudonym
        self.logic.openCase(self.node)

    def test_nothingIsLoggedWithoutACase(self):
        self.assertTrue(self.logic.whyNot(self.node, LogAction.PatientIn))
        with self.assertRaises(ValueError):
            self.logic.logPatientIn(self.node)

    def test_caseIsKeptInItsFolder(self):
        self.openCase()
        self.logic.logPatientIn(self.node)
        self.logic.logInjection(self.node)
        self.logic.logPatientOut(self.node)
        slicer.mrmlScene.Clear()
        again = ProcedureLogLogic()
        node = again.getParameterNode()
        node.caseFolder, node.pseudonym = self.folder / "SelfTest", "SelfTest"
        again.openCase(node)
        self.assertEqual(len(again.logLines(node)), 3)

    def test_undoneEventStaysOutOfTheNumbers(self):
        self.openCase()
        self.logic.logPatientIn(self.node)
        self.logic.logInjection(self.node)
        self.logic.undoLast(self.node)
        self.assertEqual(len(self.logic.logLines(self.node)), 1)
        self.logic.withdraw(self.node, self.logic.logLines(self.node)[0].event.eventId)
        self.assertEqual(self.logic.logLines(self.node), [])

    def test_reportAndTable(self):
        self.openCase()
        self.logic.logPatientIn(self.node)
        report = self.logic.writeReport(self.node)
        self.assertIn("SelfTest", report.read_text(encoding="utf-8"))
        self.assertEqual(self.logic.writeTable(self.node).GetNumberOfRows(), 1)
