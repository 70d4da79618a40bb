"""Documents in the scene: survive the bundle, and older versions are brought up to date."""

import json
import pathlib

import pytest

from IntradiscalNavLib.Recording.SceneDocuments import (
    ROLE_ATTRIBUTE,
    DocumentRole,
    findDocumentNode,
    readDocument,
    readText,
    storeDocument,
)
from IntradiscalNavLib.Recording.SceneMigration import CURRENT_VERSION

EXAMPLES = pathlib.Path(__file__).parent / "StoredScenes"


def test_documentsSurviveTheBundle(host, tmp_path):
    registration = {"freMm": 0.1 + 0.2, "names": ["µ", "balls"], "matrix": [[1.0, 0.0], [0.0, 1e-300]]}
    storeDocument(host.scene, DocumentRole.REGISTRATION, registration)
    storeDocument(host.scene, DocumentRole.REPORT, "<html>ä & 'quotes' \"</html>")
    path = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert readDocument(host.scene, DocumentRole.REGISTRATION) is None
    host.loadScene(path)
    assert readDocument(host.scene, DocumentRole.REGISTRATION) == registration
    assert readText(host.scene, DocumentRole.REPORT) == "<html>ä & 'quotes' \"</html>"


def test_documentIsFoundByRoleNotByName(host):
    node = storeDocument(host.scene, DocumentRole.PLAN, {"side": "left"})
    node.SetName("renamed by the user")
    storeDocument(host.scene, DocumentRole.PLAN, {"side": "right"})
    assert host.scene.GetNumberOfNodesByClass("vtkMRMLTextNode") == 1
    assert readDocument(host.scene, DocumentRole.PLAN) == {"side": "right"}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_storedExamplesOfOlderVersionsAreRead(host, example):
    stored = json.loads(example.read_text())
    node = host.scene.AddNewNodeByClass("vtkMRMLTextNode", "old")
    node.SetAttribute(ROLE_ATTRIBUTE, stored["role"])
    node.SetText(json.dumps(stored["document"]))
    assert readDocument(host.scene, DocumentRole(stored["role"])) == stored["expected"]


def test_newerAndDamagedDocumentsAreNamed(host):
    node = storeDocument(host.scene, DocumentRole.CASE, {})
    node.SetText(json.dumps({"version": CURRENT_VERSION + 1, "content": {}}))
    with pytest.raises(ValueError, match="newer"):
        readDocument(host.scene, DocumentRole.CASE)
    node.SetText('{"version": 1, "cont')
    with pytest.raises(ValueError, match="damaged"):
        readDocument(host.scene, DocumentRole.CASE)
    with pytest.raises(ValueError, match="registration can't be stored"):
        storeDocument(host.scene, DocumentRole.REGISTRATION, {"value": object()})
    assert findDocumentNode(host.scene, DocumentRole.REGISTRATION) is None
