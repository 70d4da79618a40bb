"""A whole scene of a procedure saved and reloaded: every node, attribute, reference, parameter, point, matrix and pixel is equal."""

import datetime

import numpy as np
import pytest
import slicer
import vtk

from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord, PoseValidity
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readTable, storeDocument, storeTable
from IntradiscalNavLib.Recording.SequenceExport import exportToSequences
from IntradiscalNavLib.Recording.TissueModel import TISSUE_ATTRIBUTE, findTissueModel
from IntradiscalNavLib.Views.LabelSurface import addSurfaceModel, maskSurface
from ProcedureLogLib.LogTable import TABLE_COLUMNS, eventsFromRows
from ProcedureLogLib.LogTable import rows as logRows
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureStore import ProcedureStore

RESOLUTION_SEC = 0.0005


def fill(host, folder):
    """What the demo saves, small."""
    scene = host.scene
    rng = np.random.default_rng(5)
    ct = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "PlanningCt")
    slicer.util.updateVolumeFromArray(ct, rng.integers(-1024, 3071, (12, 14, 16)).astype(np.int16))
    oblique = np.array([[0.7, 0.1, 0.0, -12.25], [-0.1, 0.7, 0.0, 3.5], [0.0, 0.0, 1.5, 100.125], [0, 0, 0, 1]])
    oblique[:3, 0] = 0.7 * oblique[:3, 0] / np.linalg.norm(oblique[:3, 0])
    oblique[:3, 1] = 0.7 * oblique[:3, 1] / np.linalg.norm(oblique[:3, 1])
    ct.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(oblique))
    ct.SetAttribute("DICOM.PatientPosition", "HFP")
    ct.CreateDefaultDisplayNodes()
    registration = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "ReferenceToRas")
    matrix = np.eye(4)
    matrix[:3, 3] = 1 / 3, -200.123456789, 77.7
    registration.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "PlannedPath")
    line.AddControlPoint(1.25, -80.5, 3.0, "Entry")
    line.AddControlPoint(0.0, 0.0, 1e-3, "Target")
    line.SetAttribute("IntradiscalNav.Needle", "disc")
    balls = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "MarkersInCt")
    for number in range(5):
        balls.AddControlPoint(*rng.normal(size=3) * 100, f"M{number}")
    mask = np.zeros((12, 14, 16), bool)
    mask[3:9, 4:10, 5:12] = True
    skin = addSurfaceModel(scene, "Skin", maskSurface(mask, oblique), (0.9, 0.7, 0.6), 0.4)
    skin.SetAttribute(TISSUE_ATTRIBUTE, "skin")
    skin.GetDisplayNode().SetVisibility(False)
    storeDocument(scene, DocumentRole.REGISTRATION, {"freMm": 0.1 + 0.2, "fromToTo": matrix.tolist(), "predictedTre": {}})
    storeDocument(scene, DocumentRole.PLAN, {"entryRas": [1.25, -80.5, 3.0], "targetRas": [0, 0, 0.001]})
    storeDocument(scene, DocumentRole.CALIBRATION, {"ImageToProbe": oblique.tolist()})
    storeDocument(scene, DocumentRole.REPORT, '<html>\n\t<p class="a">Fallbericht: 3,5 mm, L4–L5, µ</p>\n</html>')
    with ProcedureStore(folder) as store:
        store.addEvent(EventKind.PATIENT_IN, text='said "prone"\ttwice\\n, then\nturned; ä, 3.5')
        store.addEvent(EventKind.INJECTION, text="O2/O3", values={"volumeMl": 20.0, "substance": "oxygen-ozone"})
        events = store.auditTrail()
    storeTable(scene, DocumentRole.LOG, TABLE_COLUMNS, logRows(events))
    records = []
    for index in range(15):
        pose = np.eye(4)
        pose[:3, 3] = rng.normal(size=3) * 100
        validity = PoseValidity.INVALID if index == 4 else PoseValidity.VALID
        records.append(PoseRecord("NeedleToReference", index * 16_666_667, 0.0, pose, validity))
        pixels, spacing = rng.integers(0, 255, (1, 20, 24), dtype=np.uint8), np.diag([0.2, 0.2, 1, 1])
        records.append(ImageRecord("Image_Reference", index * 16_666_667 + 3_000_000, 0.0, pixels, pose @ spacing, validity))
    exportToSequences(scene, records, parentOf={"NeedleToReference": "ReferenceToRas"})
    return records, events


def matrixOf(get):
    matrix = vtk.vtkMatrix4x4()
    get(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def content(node):
    """Everything a node holds, by names that survive a reload (identifiers of nodes may change)."""
    kept = {"name": node.GetName(), "class": node.GetClassName()}
    kept["attributes"] = {name: node.GetAttribute(name) for name in sorted(node.GetAttributeNames())}
    if node.IsA("vtkMRMLTransformableNode"):
        parent = node.GetParentTransformNode()
        kept["parent"] = parent.GetName() if parent is not None else None
    if node.IsA("vtkMRMLDisplayableNode"):
        kept["display"] = [
            (display.GetClassName(), display.GetVisibility(), tuple(np.round(display.GetColor(), 6)), round(display.GetOpacity(), 6))
            for display in (node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes()))
            if display is not None
        ]
    if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None:
        kept["pixels"] = slicer.util.arrayFromVolume(node).copy()
        kept["matrix"] = matrixOf(node.GetIJKToRASMatrix)
    if node.IsA("vtkMRMLLinearTransformNode"):
        kept["matrix"] = matrixOf(node.GetMatrixTransformToParent)
    if node.IsA("vtkMRMLMarkupsNode"):
        count = node.GetNumberOfControlPoints()
        kept["labels"] = [node.GetNthControlPointLabel(index) for index in range(count)]
        kept["points"] = np.array([node.GetNthControlPointPosition(index) for index in range(count)])
    if node.IsA("vtkMRMLModelNode"):
        surface = node.GetPolyData()
        kept["points"] = np.array([surface.GetPoint(index) for index in range(surface.GetNumberOfPoints())])
        kept["cells"] = surface.GetNumberOfCells()
    if node.IsA("vtkMRMLTextNode"):
        kept["text"] = node.GetText()
    if node.IsA("vtkMRMLTableNode"):
        table = node.GetTable()
        kept["columns"] = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
        kept["cells"] = [
            [table.GetValue(row, index).ToString() for index in range(table.GetNumberOfColumns())] for row in range(table.GetNumberOfRows())
        ]
    if node.IsA("vtkMRMLSequenceNode"):
        count = node.GetNumberOfDataNodes()
        kept["times"] = np.array([float(node.GetNthIndexValue(index)) for index in range(count)])
        kept["frames"] = [content(node.GetNthDataNode(index)) for index in range(count)]
        for frame in kept["frames"]:
            # Sequence files keep what changes from frame to frame; name, attributes and display belong to the proxy node.
            for name in ("name", "attributes", "display", "parent"):
                frame.pop(name, None)
        kept["attributes"].pop("Sequences.Source", None)  # a mark that Slicer's reader sets
        del kept["name"]  # Slicer names sequences after their files when it reads a bundle
    if node.IsA("vtkMRMLSequenceBrowserNode"):
        sequences = vtk.vtkCollection()
        node.GetSynchronizedSequenceNodes(sequences, True)
        proxies = [node.GetProxyNode(sequences.GetItemAsObject(index)).GetName() for index in range(sequences.GetNumberOfItems())]
        kept["proxies"] = sorted(proxies)
        kept["item"] = node.GetSelectedItemNumber()
        kept["items"] = node.GetNumberOfItems()
    return kept


def wholeScene(scene):
    """Content of every node the user made: not the views, singletons and storage nodes that each scene has of its own."""
    found = []
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        hidden = node.IsA("vtkMRMLStorageNode") or node.IsA("vtkMRMLAbstractViewNode") or node.IsA("vtkMRMLDisplayNode")
        if (
            hidden
            or node.GetSingletonTag()
            or not node.GetSaveWithScene()
            or node.IsA("vtkMRMLColorNode")
            or node.IsA("vtkMRMLSubjectHierarchyNode")
        ):
            continue
        found.append(content(node))
    return found


def assertEqual(before, after, place="scene"):
    assert type(before) is type(after), place
    if isinstance(before, dict):
        assert before.keys() == after.keys(), place
        for name in before:
            if name == "times":
                np.testing.assert_allclose(after[name], before[name], atol=RESOLUTION_SEC, err_msg=place)
            else:
                assertEqual(before[name], after[name], f"{place}/{before.get('name', '')}.{name}")
    elif isinstance(before, list | tuple):
        assert len(before) == len(after), place
        for index, (one, other) in enumerate(zip(before, after)):
            assertEqual(one, other, f"{place}[{index}]")
    elif isinstance(before, np.ndarray):
        if before.dtype.kind == "f":
            # Slicer's sequence files write transforms with six significant digits: half a micrometre below 1000 mm.
            tolerance = 5.1e-4 if "frames" in place and before.shape == (4, 4) else 1e-5
            np.testing.assert_allclose(after, before, rtol=1e-7, atol=tolerance, err_msg=place)
        else:
            np.testing.assert_array_equal(after, before, err_msg=place)
    else:
        assert before == after, place


def order(entry):
    return (entry["class"], entry.get("name", ""), len(entry.get("times", ())), str(entry.get("frames", [{}])[0].get("class")))


def test_everyNodeParameterAndPixelIsEqualAfterReload(host, tmp_path):
    fill(host, tmp_path / "log")
    before = sorted(wholeScene(host.scene), key=order)
    path = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert wholeScene(host.scene) == []
    host.loadScene(path)
    after = sorted(wholeScene(host.scene), key=order)
    assert [order(entry) for entry in after] == [order(entry) for entry in before]
    assertEqual(before, after)
    # A second generation is not allowed to drift either.
    again = host.saveScene(tmp_path / "again.mrb")
    host.clear()
    host.loadScene(again)
    assertEqual(after, sorted(wholeScene(host.scene), key=order))


def test_comparisonSeesEveryKindOfChange(host, tmp_path):
    """The comparison itself must fail where something differs."""
    fill(host, tmp_path / "log")
    before = sorted(wholeScene(host.scene), key=order)
    changes = {
        "pixel": lambda: slicer.util.arrayFromVolume(slicer.util.getNode("PlanningCt")).__setitem__((1, 2, 3), 4000),
        "point": lambda: slicer.util.getNode("PlannedPath").SetNthControlPointPosition(0, 1.26, -80.5, 3.0),
        "attribute": lambda: slicer.util.getNode("PlanningCt").SetAttribute("DICOM.PatientPosition", "HFS"),
        "matrix": lambda: slicer.util.getNode("ReferenceToRas").SetMatrixTransformToParent(vtk.vtkMatrix4x4()),
        "parent": lambda: slicer.util.getNode("NeedleToReference").SetAndObserveTransformNodeID(None),
    }
    for name, change in changes.items():
        change()
        after = sorted(wholeScene(host.scene), key=order)
        with pytest.raises(AssertionError):
            assertEqual(before, after, name)
        before = after


def test_logOfTheSceneIsReadBackWhole(host, tmp_path):
    _, events = fill(host, tmp_path / "log")
    path = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert readTable(host.scene, DocumentRole.LOG) is None
    host.loadScene(path)
    columns, rows = readTable(host.scene, DocumentRole.LOG)
    assert eventsFromRows(rows, columns) == events
    assert any('said "prone"\ttwice\\n, then\nturned' in event.text for event in eventsFromRows(rows, columns))
    assert isinstance(events[0].time.face, datetime.datetime)
    assert findTissueModel(host.scene).GetName() == "Skin"
