"""A whole procedure without hardware: a simulated patient in the scene and a simulated PLUS in a process of its own."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import numpy as np
import slicer
from slicer.i18n import tr as _

from .PathLine import endsOf

START_TIMEOUT_SEC = 60.0
SEGMENTED = ("vertebra", "sacrum", "hip", "kidney", "aorta", "vena", "artery", "colon", "bowel", "autochthon", "iliopsoas", "skin")
"""What a segmentation program finds in a CT. Roots, dura and discs are left out: planning has to model them."""


def pythonExecutable():
    """Python that runs scripts beside this one: PythonSlicer inside Slicer, where sys.executable may be the application."""
    if "python" in pathlib.Path(sys.executable).name.lower():
        return sys.executable
    folder = pathlib.Path(slicer.app.slicerHome) / "bin"
    return str(folder / ("PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"))


def addSimulatedPatient(phantom):
    """CT volume and label map of a LumbarPhantom as (volume node, label map node)."""
    names = {value: name for value, name in phantom.labelNames.items() if name.startswith(SEGMENTED)}
    labels = np.where(np.isin(phantom.labels, list(names)), phantom.labels, 0).astype(np.uint8)
    ct = slicer.util.addVolumeFromArray(phantom.voxels, ijkToRAS=phantom.ijkToRas, name="SimulatedCT")
    ct.CreateDefaultDisplayNodes()
    ct.GetDisplayNode().AutoWindowLevelOff()
    ct.GetDisplayNode().SetWindowLevel(1400, 300)
    labelMap = slicer.util.addVolumeFromArray(
        labels, ijkToRAS=phantom.ijkToRas, name="SimulatedSegmentation", nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "SimulatedSegmentationColors")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(int(labels.max()) + 1)
    for value in range(int(labels.max()) + 1):
        hue = np.random.default_rng(value).uniform(0.3, 0.9, 3)
        colors.SetColor(value, names.get(value, "none"), *hue, 1.0 if value in names else 0.0)
    labelMap.CreateDefaultDisplayNodes()
    labelMap.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return ct, labelMap


class Rehearsal:
    """The simulator process and what it told of itself (`announcement`: port, calibrations, plate)."""

    INSERTION_SEC = 12.0

    def __init__(self, parameters=None):
        """parameters: PhantomParameters of the patient; default the standard one."""
        self.parameters = parameters
        self.process = None
        self.announcement = {}
        self.phantom = None
        self._folder = tempfile.TemporaryDirectory(prefix="IntradiscalNavRehearsal")

    def start(self, logic, parameterNode):
        """Start the simulator, put its patient into the scene, calibrate and connect.

        :raises RuntimeError: if the simulator doesn't start, with what it said
        """
        from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom

        self._startProcess()
        self.phantom = buildLumbarPhantom(self.parameters)
        parameterNode.ctVolume, parameterNode.segmentation = addSimulatedPatient(self.phantom)
        self.announcement = self._readAnnouncement()
        parameterNode.connection.host, parameterNode.connection.port = "127.0.0.1", int(self.announcement["port"])
        parameterNode.plan.needleLengthMm = float(self.announcement["needleLengthMm"])
        plate = pathlib.Path(self._folder.name) / "plate.json"
        plate.write_text(json.dumps(self.announcement["plate"]), encoding="utf-8")
        registration = logic.registration.getParameterNode()
        registration.ctVolume, registration.plateFile = parameterNode.ctVolume, plate
        self._describeProbe(registration)
        logic.connect(parameterNode)
        logic.setCalibrations(self.announcement["calibrations"])

    @staticmethod
    def _describeProbe(registration):
        """The simulated probe, for scanning bone in Fusion Registration."""
        from IntradiscalNavLib.Simulation.UltrasoundGeometry import UltrasoundGeometry

        geometry = UltrasoundGeometry()
        seen = geometry.probeGeometry()
        registration.probe.curved = seen.apexPixel is not None
        registration.probe.apexColumn, registration.probe.apexRow = (float(value) for value in seen.apexPixel)
        registration.probe.faceRadiusMm, registration.probe.depthMm = float(seen.faceRadiusMm), float(geometry.depthMm)
        registration.probe.halfAngleDeg = float(geometry.fieldOfViewDeg / 2)

    def _startProcess(self):
        import dataclasses

        import FusionRegistrationLib
        import IntradiscalNavLib
        import TranslatedText

        packages = (IntradiscalNavLib, FusionRegistrationLib, TranslatedText)
        roots = {str(pathlib.Path(package.__file__).resolve().parents[1]) for package in packages}
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sorted(roots), os.environ.get("PYTHONPATH", "")])}
        command = [pythonExecutable(), "-m", "IntradiscalNavLib.Simulation.SimulatedPlus"]
        if self.parameters is not None:
            command += ["--phantom", json.dumps(dataclasses.asdict(self.parameters))]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _readAnnouncement(self):
        """The line that the simulator prints once it listens; waits for it a bounded time."""
        lines = []
        reader = threading.Thread(target=lambda: lines.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(START_TIMEOUT_SEC)
        if lines and lines[0].strip():
            return json.loads(lines[0])
        self.process.terminate()
        told = self.process.communicate(timeout=10)[1].strip().splitlines()
        raise RuntimeError(_("The simulated PLUS did not start: {reason}").format(reason=told[-1] if told else _("no message")))

    def command(self, logic, name, **arguments):
        """Tell the simulated operator what to do (see SimulatedPlus for the commands)."""
        from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import StringMessage

        logic.connection.client.send(StringMessage("SimulatorCommand", json.dumps({"command": name, **arguments})))

    def followPath(self, logic, parameterNode):
        """The simulated operator leads the needle along the planned path, by the registration as it is."""
        rasToReference = np.linalg.inv(logic.registrationFit().fromToTo)
        points = endsOf(parameterNode.path)
        entry, target = (rasToReference[:3, :3] @ point + rasToReference[:3, 3] for point in points)
        self.command(
            logic, "followPath", frame="Reference", entryMm=entry.tolist(), targetMm=target.tolist(), insertionSec=self.INSERTION_SEC
        )

    def nextStep(self, logic, parameterNode):
        """Do the next step that is still missing; returns what was done, in a sentence."""
        registration = logic.registration.getParameterNode()
        if logic.registrationFit() is None:
            logic.registration.findMarkers(registration)
            self._addTargets(logic, parameterNode, registration)
            result = logic.registration.registerPlate(registration)
            return result.message
        if logic.shownTrajectory(parameterNode) is None:
            logic.plan(parameterNode)
            logic.level.confirm(parameterNode)  # the simulated vertebrae are called what they are
            return _("The best path is planned, the level confirmed.")
        if not logic.isGuiding:
            logic.startGuidance(parameterNode)
            self.followPath(logic, parameterNode)
            return _("Guidance runs; the simulated operator inserts the needle.")
        self.followPath(logic, parameterNode)
        return _("The simulated operator inserts the needle again.")

    @staticmethod
    def _addTargets(logic, parameterNode, registration):
        """Centers of the discs as targets of the registration."""
        if registration.targets is None:
            registration.targets = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "DiscCenters")
        registration.targets.RemoveAllControlPoints()
        anatomy = logic.anatomy(parameterNode)
        for level in anatomy.levels:
            index = registration.targets.AddControlPointWorld(*anatomy.disc(level).centerRas)
            registration.targets.SetNthControlPointLabel(index, level)
        registration.targets.GetDisplayNode().SetVisibility(False)

    def stop(self):
        """End the simulator; never leaves a process behind."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
            self.process = None
        self._folder.cleanup()
