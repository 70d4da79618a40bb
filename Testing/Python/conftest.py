"""Fixtures of the suites that open panels."""

import dataclasses
import os
import pathlib
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
IN_SLICER = "INTRADISCALNAV_TEST_REPORT" in os.environ and "PanelHost" in sys.modules
# inside Slicer its own qt is used, not the stand-in
for folder in ("Testing",) if IN_SLICER else ("Testing/QtStandIns", "Testing"):
    if str(REPOSITORY / folder) not in sys.path:
        sys.path.insert(0, str(REPOSITORY / folder))


def emptyScene(scene):
    """Without views of an earlier test, which are singletons and outlive the closing of a scene."""
    scene.Clear(0)
    if not IN_SLICER:
        for className in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode", "vtkMRMLViewNode"):
            while (node := scene.GetFirstNodeByClass(className)) is not None:
                scene.RemoveNode(node)


@pytest.fixture
def panels():
    """The panel host with an empty scene; fails the test when a slot raised."""
    if not IN_SLICER:
        pytest.importorskip("PySide6", reason="PySide6-Essentials is needed for the tests of panels: pip install -e '.[test]'")
    import PanelHost
    import PythonQtStyle

    host = PanelHost.start()
    emptyScene(host.scene)
    PythonQtStyle.slotErrors.clear()
    host.statusMessages.clear()
    yield host
    for widget in list(host.openWidgets):
        host.closePanel(widget)
    errors = list(PythonQtStyle.slotErrors)
    emptyScene(host.scene)
    assert not errors, f"a slot raised: {errors}"


@pytest.fixture
def procedure(panels, tmp_path):
    """A registered procedure whose stream is fed by the test."""
    from StreamedProcedure import StreamedProcedure

    return StreamedProcedure(panels, tmp_path)


@pytest.fixture
def twoNeedles(procedure):
    """The same with two planned needles, the one for the disc active."""
    from StreamedProcedure import ENTRY, FACET_ENTRY, FACET_TARGET, TARGET

    procedure.node.path = procedure.line("Disc path", ENTRY, TARGET, "disc L4-L5")
    procedure.line("Facet path", FACET_ENTRY, FACET_TARGET, "facet L4-L5 left")
    return procedure


@pytest.fixture
def nearNerves(twoNeedles, monkeypatch):
    """The same beside a nerve."""
    twoNeedles.addNerves(monkeypatch)
    return twoNeedles


FEW_ENTRIES = 1500
"""A coarser search than the planner's 20,000 entries, for tests about what becomes of its paths."""


@pytest.fixture(scope="session")
def coarsePhantom():
    from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
    from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

    return buildLumbarPhantom(PhantomParameters(spacingMm=(3.0, 3.0, 4.0)))


@pytest.fixture(scope="session")
def coarseAnatomies():
    """The phantom's SpineAnatomy once it was worked out: it is the same in every test."""
    return []


@pytest.fixture
def planPanel(panels, coarsePhantom, coarseAnatomies, monkeypatch):
    """The panel of IntradiscalNav with the phantom's CT and segmentation chosen."""
    panel = panels.openPanel("IntradiscalNav")
    from IntradiscalNavPanel import PathPlanning
    from IntradiscalNavPanel.Rehearsal import addSimulatedPatient

    original, parametersOf = PathPlanning.anatomyOf, panel.logic.planningParameters

    def anatomyOf(ct, segmentation, endplates=None, level=""):
        if segmentation is None:
            return original(ct, segmentation, endplates, level)
        if not coarseAnatomies:
            coarseAnatomies.append(original(ct, segmentation))
        return coarseAnatomies[0]

    monkeypatch.setattr(PathPlanning, "anatomyOf", anatomyOf)
    monkeypatch.setattr(panel.logic, "planningParameters", lambda node: dataclasses.replace(parametersOf(node), minEntries=FEW_ENTRIES))
    panel.parameterNode.ctVolume, panel.parameterNode.segmentation = addSimulatedPatient(coarsePhantom)
    return panel


@pytest.fixture
def plannedPanel(planPanel):
    """The same, with paths planned to L4-L5 from the left."""
    planPanel.ui.planButton.click()
    return planPanel


@pytest.fixture
def streamed(panels, tmp_path):
    """StreamedInsertion in the panel of IntradiscalNav."""
    import numpy as np
    import slicer
    from StreamedInsertion import ENTRY, TARGET, StreamedInsertion, register

    from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer

    with OpenIGTLinkServer(port=0) as server:
        panel = panels.openPanel("IntradiscalNav")
        case = tmp_path / "case"
        panel.ui.caseFolderEdit.currentPath = str(case)
        panel.ui.portSpin.value = server.port
        made = StreamedInsertion(panels, panel, server, case)
        slicer.util.addVolumeFromArray(np.zeros((6, 8, 10), np.int16), name="PlanningCt")
        register(panel.logic)
        line = panel.ui.pathSelector.addNode()
        slicer.util.updateMarkupsControlPointsFromArray(line, np.array([ENTRY, TARGET]))
        panel.logic.setCalibrations({"NeedleTipToNeedle": np.eye(4), "ImageToProbe": np.diag([0.5, 0.5, 0.5, 1.0])})
        panel.ui.connectButton.click()
        assert server.waitForClient(10.0)

        def arrived():
            made.sendPose(-20.0)
            made.sendImage()
            return panel.logic.connection.stream.node("NeedleToReference") is not None

        made.until(arrived, "the first pose")
        made.sentImages.clear()
        yield made
        panel.logic.close()
