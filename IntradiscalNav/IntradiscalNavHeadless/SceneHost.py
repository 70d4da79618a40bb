"""Boots a real MRML scene with module logics and file I/O on the slicer-core wheel, without the Slicer application.

After ``startHost()`` the names that scripts expect exist: ``slicer.mrmlScene``, ``slicer.app`` (a small stand-in),
``slicer.modules.<name>.logic()`` and the load/save functions of ``slicer.util``.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import tempfile
import types
from typing import Any

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer
import slicer.util
import vtk

from IntradiscalNavHeadless.SceneFiles import SceneFiles
from IntradiscalNavLib.Recording.SceneBundle import checkSceneFile

MODULE_LOGICS = {
    # Units, colours and subject hierarchy first: the others look them up. All must exist before a scene is loaded,
    # because they register the node classes (without them markups and sequence browsers are silently dropped).
    "units": "vtkSlicerUnitsLogic",
    "colors": "vtkSlicerColorLogic",
    "terminologies": "vtkSlicerTerminologiesModuleLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "annotations": "vtkSlicerAnnotationModuleLogic",
    "cameras": "vtkSlicerCamerasModuleLogic",
    "viewcontrollers": "vtkSlicerViewControllersLogic",
    "transforms": "vtkSlicerTransformLogic",
    "models": "vtkSlicerModelsLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "tables": "vtkSlicerTablesLogic",
    "texts": "vtkSlicerTextsLogic",
    "plots": "vtkSlicerPlotsLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "cropvolume": "vtkSlicerCropVolumeLogic",
    "reformat": "vtkSlicerReformatLogic",
    "sceneviews": "vtkSlicerSceneViewsModuleLogic",
    "volumerendering": "vtkSlicerVolumeRenderingLogic",
    "data": "vtkSlicerDataModuleLogic",
}


class HeadlessApplication:
    """Stand-in of ``slicer.app`` for what needs no Qt."""

    def __init__(self, host: SceneHost) -> None:
        self._host = host
        self.temporaryPath = str(host.temporaryFolder)
        self.defaultScenePath = str(host.temporaryFolder)
        self.majorVersion, self.minorVersion = 5, 12
        self.revision = "headless"
        self.applicationName = "IntradiscalNavHeadless"
        self.commandOptions = types.SimpleNamespace(noMainWindow=True, testingEnabled=True)

    def applicationLogic(self) -> Any:
        return self._host.applicationLogic

    def mrmlScene(self) -> Any:
        return self._host.scene

    def layoutManager(self) -> None:
        return None

    def coreIOManager(self) -> SceneFiles:
        return self._host.files

    ioManager = coreIOManager

    def testingEnabled(self) -> bool:
        return True

    def processEvents(self, *_arguments: object) -> None:
        pass

    def userSettings(self) -> None:
        return None

    def pauseRender(self) -> None:
        self._host.applicationLogic.PauseRender()

    def resumeRender(self) -> None:
        self._host.applicationLogic.ResumeRender()


class SceneHost:
    """One scene with application logic, module logics and files. Use ``startHost()``; there is one host per process."""

    def __init__(self) -> None:
        self.temporaryFolder = pathlib.Path(tempfile.mkdtemp(prefix="intradiscalnav-"))
        self._routeMessages()
        share = self.temporaryFolder / "share"
        (share / "terminologies").mkdir(parents=True)
        self.applicationLogic = logic = slicer.vtkSlicerApplicationLogic()
        logic.SetHomeDirectory(str(self.temporaryFolder))
        logic.SetShareDirectory("share")
        logic.SetTemporaryPath(str(self.temporaryFolder))
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(logic)
        slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(logic)
        self._remoteFiles = slicer.vtkMRMLRemoteIOLogic()
        self._remoteFiles.GetCacheManager().SetRemoteCacheDirectory(str(self.temporaryFolder / "cache"))
        self._dataFiles = slicer.vtkDataIOManagerLogic()
        self._dataFiles.SetMRMLApplicationLogic(logic)
        self._dataFiles.SetAndObserveDataIOManager(self._remoteFiles.GetDataIOManager())
        self.scene = scene = slicer.vtkMRMLScene()
        scene.SetRootDirectory(str(self.temporaryFolder))
        scene.RegisterNodeClass(slicer.vtkMRMLCommandLineModuleNode())
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        scene.AddNode(crosshair)
        logic.SetMRMLScene(scene)
        logic.SetMRMLSceneDataIO(scene, self._remoteFiles, self._dataFiles)
        logic.SetSliceLogics(vtk.vtkCollection())
        logic.SetViewLogics(vtk.vtkCollection())
        logic.GetColorLogic().SetMRMLScene(scene)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
        slicer.mrmlScene = scene
        slicer.modules = types.SimpleNamespace()
        self.files = SceneFiles(self)
        slicer.app = HeadlessApplication(self)
        self.moduleLogics: dict[str, Any] = {}
        self.openViews: list[Any] = []
        """Off-screen views of the scene; they are closed with it."""
        for name, className in MODULE_LOGICS.items():
            self._addModuleLogic(name, className, share)
        vtk.vtkObject.GlobalWarningDisplayOn()

    def _routeMessages(self) -> None:
        """VTK's messages go to a file, not between the lines of a command's output; with --debug to standard error."""
        self.messageFile = self.temporaryFolder / "vtk-messages.txt"
        if os.environ.get("INTRADISCALNAV_DEBUG"):
            window = vtk.vtkOutputWindow()
            window.SetDisplayModeToAlwaysStdErr()
        else:
            window = vtk.vtkFileOutputWindow()
            window.SetFileName(str(self.messageFile))
            vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
        vtk.vtkOutputWindow.SetInstance(window)
        self._outputWindow = window
        # Off until the logics stand: they warn of terminologies and colour files, which are not shipped and not needed.
        vtk.vtkObject.GlobalWarningDisplayOff()

    def _addModuleLogic(self, name: str, className: str, share: pathlib.Path) -> None:
        logic = getattr(slicer, className)()
        if hasattr(logic, "SetModuleShareDirectory"):
            logic.SetModuleShareDirectory(str(share / "terminologies" if name == "terminologies" else share))
        logic.SetMRMLApplicationLogic(self.applicationLogic)
        logic.SetMRMLScene(self.scene)
        self.applicationLogic.SetModuleLogic(name.capitalize(), logic)
        self.moduleLogics[name] = logic
        setattr(slicer.modules, name, types.SimpleNamespace(name=name, logic=lambda logic=logic: logic))

    def clear(self) -> None:
        """Empty the scene, as File / Close scene does. Views of it are closed."""
        self.closeViews()
        self.scene.Clear(0)

    def closeViews(self) -> None:
        for view in tuple(self.openViews):
            view.close()

    def saveScene(self, path: pathlib.Path | str) -> pathlib.Path:
        """Save as ``.mrb`` beside the final place and move it there, so that an older file is lost only to a whole new one.

        :raises OSError: if the scene can't be written (folder missing, disk full); the older file is kept.
        """
        path = pathlib.Path(path)
        if not path.parent.is_dir():
            raise OSError(f"Can't save the scene: the folder {path.parent} does not exist. Create it or choose another.")
        # In a folder beside it, under its final name: the name becomes the name of the folder inside the bundle.
        try:
            beside = pathlib.Path(tempfile.mkdtemp(prefix=".saving-", dir=path.parent))
        except OSError as error:
            raise OSError(f"Can't save the scene into {path.parent}: {error.strerror}.") from error
        try:
            partial = beside / path.name
            if not self.files.saveNodes("SceneFile", {"fileName": str(partial)}) or not partial.is_file():
                raise OSError(f"Can't write the scene {path}: check the free space and the permissions of {path.parent}.")
            os.replace(partial, path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return path

    def loadScene(self, path: pathlib.Path | str, clear: bool = True) -> None:
        """Load ``.mrb`` or ``.mrml``.

        :raises FileNotFoundError: if there is no such file.
        :raises ValueError: if the file is no readable scene. The present scene is then left as it was.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no scene file {path}.")
        checkSceneFile(path)
        if clear:
            self.closeViews()
        if not self.files.loadScene(str(path), clear):
            raise ValueError(f"The scene {path} can't be read: the file is damaged or no Slicer scene.")

    def removeTemporaryFiles(self) -> None:
        shutil.rmtree(self.temporaryFolder, ignore_errors=True)


_host: SceneHost | None = None


def startHost() -> SceneHost:
    """Start the host of this process, or return the one that runs.

    :raises RuntimeError: inside the Slicer application, which is its own host.
    """
    global _host
    if _host is None:
        if "qSlicerApplication" in repr(type(getattr(slicer, "app", None))) or "PythonSlicer" in sys.executable:
            raise RuntimeError("This is the Slicer application: it has its own scene, the headless host is not needed.")
        _host = SceneHost()
        import atexit

        atexit.register(_host.removeTemporaryFiles)
        atexit.register(_host.closeViews)
    return _host
