"""The stand-in of the parameter node writes what Slicer writes, and refuses what Slicer refuses."""

import enum
import pathlib
from typing import Annotated, Union

import pytest

from IntradiscalNavHeadless.ScriptedModules.ModuleLoader import installStandIns


class Color(enum.Enum):
    Red = 1
    Green = 2


@pytest.fixture(scope="module")
def wrapped():
    """A class with every kind of parameter that the modules use, and the scene."""
    scene = installStandIns().scene
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, Minimum, WithinRange, parameterNodeWrapper, parameterPack

    @parameterPack
    class Needle:
        lengthMm: Annotated[float, WithinRange(50, 250)] = 150.0
        gauge: Annotated[int, Choice([20, 22])]

    @parameterNodeWrapper
    class Parameters:
        flag: bool
        count: Annotated[int, Minimum(1)] = 3
        share: float = 2.5
        name: str = "x"
        color: Annotated[Color, Default(Color.Green)]
        folder: pathlib.Path
        volume: slicer.vtkMRMLScalarVolumeNode
        either: Union[slicer.vtkMRMLModelNode, slicer.vtkMRMLTableNode, None]  # noqa: UP007
        needle: Needle
        numbers: list[float]

    return Parameters, Needle, scene


@pytest.fixture
def parameters(wrapped):
    classType, _needle, scene = wrapped
    scene.Clear(0)
    return classType(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "TestParameters"))


def test_stringsInTheNodeAreSlicers(parameters):
    """By the serializers of Slicer 5.12 (read there, not run): booleans, names of enums, POSIX paths, list.len and list.0, pack.member."""
    parameters.flag = True
    parameters.color = Color.Red
    parameters.folder = pathlib.Path("a") / "b"
    parameters.numbers = [1.0, 2.5]
    parameters.needle.lengthMm = 120
    read = parameters.parameterNode.GetParameter
    assert [read(name) for name in ("flag", "count", "share", "color", "folder")] == ["True", "3", "2.5", "Red", "a/b"]
    assert [read(name) for name in ("numbers.len", "numbers.0", "numbers.1")] == ["2", "1.0", "2.5"]
    assert [read(name) for name in ("needle.lengthMm", "needle.gauge")] == ["120", "20"]


def test_valuesSurviveASavedScene(parameters, wrapped, tmp_path):
    import slicer

    parameters.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(parameters.volume, __import__("numpy").zeros((2, 2, 2), "int16"))
    parameters.needle.gauge = 22
    parameters.numbers = [4.0]
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    again = wrapped[0](slicer.mrmlScene.GetFirstNodeByName("TestParameters"))
    assert again.volume.GetName() == "CT" and again.needle.gauge == 22 and again.numbers == [4.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("count", 2.5),
        ("flag", 1),
        ("name", 3),
        ("color", "Red"),
        ("volume", "vtkMRMLNoSuchNode1"),
        ("needle.lengthMm", 10.0),
        ("needle.gauge", 21),
        ("nothing", 1),
    ],
)
def test_wrongValuesAreRefused(parameters, name, value):
    with pytest.raises(ValueError):
        parameters.setValue(name, value)


def test_nodeOfAnotherClassIsRefused(parameters):
    import slicer

    with pytest.raises(ValueError, match="vtkMRMLScalarVolumeNode"):
        parameters.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    parameters.either = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "T")
    assert parameters.either.GetName() == "T"
    parameters.either = None
    assert parameters.either is None


def test_shorterListLeavesNothingBehind(parameters):
    parameters.numbers = [1.0, 2.0, 3.0]
    parameters.numbers = [9.0]
    assert parameters.numbers == [9.0]
    assert "numbers.2" not in parameters.parameterNode.GetParameterNames()


def test_packIsAValue(wrapped):
    _parameters, Needle, _scene = wrapped
    first, second = Needle(lengthMm=100.0), Needle(100.0)
    assert first == second and first != Needle()
    with pytest.raises(AttributeError):
        first.width = 3
    with pytest.raises(TypeError):
        Needle(width=3)


def test_unsupportedTypeIsRefused():
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Odd:
        table: dict[str, int]

    with pytest.raises(RuntimeError, match="doesn't support"):
        parameterNodeWrapper(Odd)


def test_barOfTypesIsRefusedAsInSlicer():
    """Slicer compares with typing.Union; on Python 3.12 `A | B` is something else, and the module would not load there."""
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Barred:
        node: slicer.vtkMRMLModelNode | slicer.vtkMRMLTableNode

    with pytest.raises(RuntimeError, match=r"typing\.Union"):
        parameterNodeWrapper(Barred)


def test_fileWithoutItsClassIsRefused(tmp_path):
    from IntradiscalNavHeadless.ScriptedModules.ModuleLoader import loadModule

    (tmp_path / "Empty.py").write_text("")
    with pytest.raises(AttributeError):
        loadModule(tmp_path / "Empty.py")
    with pytest.raises(FileNotFoundError, match=r"Gone\.py"):
        loadModule(tmp_path / "Gone.py")


class Widget:
    """A widget by its attributes alone."""

    def __init__(self):
        self.value, self.minimum, self.maximum = 0, 0, 99
        self.valueChanged = self

    def connect(self, slot):
        self.slot = slot

    def disconnect(self, slot):
        self.slot = None

    def set(self, value):
        self.value = value
        self.slot(value)


def test_widgetsFollowAndAreFollowed(parameters):
    spin = type("QDoubleSpinBox", (Widget,), {})()
    spin.value = 0.0
    tag = parameters.connectParametersToGui({"needle.lengthMm": spin})
    assert (spin.value, spin.minimum, spin.maximum) == (150.0, 50, 250)
    spin.set(99.5)
    assert parameters.needle.lengthMm == 99.5
    parameters.needle.lengthMm = 77.0
    assert spin.value == 77.0
    parameters.disconnectGui(tag)
    parameters.needle.lengthMm = 88.0
    assert spin.value == 77.0 and spin.slot is None


def test_pairWithoutConnectorIsRefused(parameters):
    """As in Slicer: a spin box for whole numbers has no connector to a float, and subclasses don't count."""
    with pytest.raises(RuntimeError, match="no connector"):
        parameters.connectParametersToGui({"needle.lengthMm": type("QSpinBox", (Widget,), {})()})
    with pytest.raises(RuntimeError, match="no connector"):
        parameters.connectParametersToGui({"needle.lengthMm": type("MySpinBox", (Widget,), {})()})
