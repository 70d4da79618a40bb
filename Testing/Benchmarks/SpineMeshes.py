"""Vertebra meshes for the surface benchmark: read, or made from a simulated patient, as labels, as one mesh, in another posture."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib

import numpy as np
import numpy.typing as npt
import vtk
from scipy.ndimage import gaussian_filter
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

from FusionRegistrationLib.BoneSurface import BoneSurface
from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurfaceFromLabels
from FusionRegistrationLib.PoseSearch import rotationsFromVectors
from FusionRegistrationLib.RigidTransform import rigidFrom, transformPoints

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class SpineMeshes:
    """Vertebra meshes of one spine, head to foot, RAS mm; per vertebra points (n, 3) and triangles (m, 3). discs: name to centre."""

    names: tuple[str, ...]
    points: tuple[FloatArray, ...]
    triangles: tuple[npt.NDArray[np.int64], ...]
    discs: dict[str, FloatArray]
    endplates: dict[str, tuple[FloatArray, FloatArray]]

    @property
    def centres(self) -> FloatArray:
        """Mean vertex of every vertebra."""
        return np.array([points.mean(axis=0) for points in self.points])


def readSpine(folder: pathlib.Path, names: tuple[str, ...]) -> SpineMeshes:
    """Read STL files in LPS mm."""
    points, triangles = [], []
    for name in names:
        reader = vtk.vtkSTLReader()
        reader.SetFileName(str(folder / f"{name}.stl"))
        reader.Update()
        data = reader.GetOutput()
        points.append(vtk_to_numpy(data.GetPoints().GetData()).astype(float) * [-1.0, -1.0, 1.0])
        triangles.append(vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64))
    return spineOf(names, points, triangles)


def spineOf(names: tuple[str, ...], points: list[FloatArray], triangles: list[npt.NDArray[np.int64]]) -> SpineMeshes:
    """Meshes with their disc centres: halfway between the facing endplates of neighbours, taken from the body's front half."""
    endplates: dict[str, tuple[FloatArray, FloatArray]] = {}
    discs = {}
    for upper, lower, upperPoints, lowerPoints in zip(names[:-1], names[1:], points[:-1], points[1:]):
        bottom, top = _endplate(upperPoints, -1), _endplate(lowerPoints, +1)
        endplates[f"{upper}-{lower}"] = (bottom, top)
        discs[f"{upper}-{lower}"] = (bottom + top) / 2.0
    return SpineMeshes(names, tuple(points), tuple(triangles), discs, endplates)


def _endplate(points: FloatArray, side: int) -> FloatArray:
    """Centre of a vertebral body's lower (-1) or upper (+1) endplate: the body is the front 60 % of a vertebra's depth beyond its canal."""
    front = np.quantile(points[:, 1], 0.999)
    body = points[(points[:, 1] > front - 28.0) & (np.abs(points[:, 0] - np.median(points[:, 0])) < 18.0)]
    edge = np.quantile(body[:, 2] * side, 0.95)
    plate = body[body[:, 2] * side > edge - 4.0]
    return np.array([plate[:, 0].mean(), front - 15.0, side * edge])


def surfaceOf(spine: SpineMeshes, spacingMm: float = 0.7, only: tuple[str, ...] | None = None) -> BoneSurface:
    """The product's own surface, through a label volume as a segmentation would give it."""
    return extractPosteriorBoneSurfaceFromLabels(*labelsOf(spine, spacingMm, only)[:2], {n + 1: name for n, name in enumerate(spine.names)})


def labelsOf(spine: SpineMeshes, spacingMm: float = 0.7, only: tuple[str, ...] | None = None) -> tuple[npt.NDArray[np.int16], FloatArray]:
    """Label volume (k, j, i), vertebra n (from the head) having label n + 1, and its ijkToRas."""
    allPoints = np.vstack(spine.points)
    origin = allPoints.min(axis=0) - 3.0
    size = np.ceil((allPoints.max(axis=0) + 3.0 - origin) / spacingMm).astype(int)
    labels = np.zeros(size[::-1], np.int16)
    for number, (name, points, triangles) in enumerate(zip(spine.names, spine.points, spine.triangles)):
        if only is not None and name not in only:
            continue
        stencil = vtk.vtkPolyDataToImageStencil()
        stencil.SetInputData(polyDataOf(points, triangles))
        stencil.SetOutputOrigin(*origin)
        stencil.SetOutputSpacing(spacingMm, spacingMm, spacingMm)
        stencil.SetOutputWholeExtent(0, size[0] - 1, 0, size[1] - 1, 0, size[2] - 1)
        image = vtk.vtkImageStencilToImage()
        image.SetInputConnection(stencil.GetOutputPort())
        image.SetOutputScalarTypeToUnsignedChar()
        image.SetInsideValue(1)
        image.SetOutsideValue(0)
        image.Update()
        mask = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars()).reshape(size[::-1])
        labels[(mask > 0) & (labels == 0)] = number + 1
    ijkToRas = np.diag([spacingMm, spacingMm, spacingMm, 1.0])
    ijkToRas[:3, 3] = origin
    return labels, ijkToRas


def polyDataOf(points: FloatArray, triangles: npt.NDArray[np.int64]) -> vtk.vtkPolyData:
    """vtkPolyData of a triangle mesh."""
    data = vtk.vtkPolyData()
    vtkPoints = vtk.vtkPoints()
    vtkPoints.SetData(numpy_to_vtk(np.ascontiguousarray(points, np.float64), deep=True))
    data.SetPoints(vtkPoints)
    cells = vtk.vtkCellArray()
    offsets = np.arange(0, 3 * len(triangles) + 1, 3, dtype=np.int64)
    cells.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(np.ascontiguousarray(triangles).ravel(), deep=True))
    data.SetPolys(cells)
    return data


def meshOf(spine: SpineMeshes, triangleCount: int) -> vtk.vtkPolyData:
    """The whole spine as one mesh with at least about the given number of triangles (linear subdivision, then decimation)."""
    offset, points, triangles = 0, [], []
    for vertices, faces in zip(spine.points, spine.triangles):
        points.append(vertices)
        triangles.append(faces + offset)
        offset += len(vertices)
    data = polyDataOf(np.vstack(points), np.vstack(triangles))
    while data.GetNumberOfPolys() < triangleCount:
        divide = vtk.vtkLinearSubdivisionFilter()
        divide.SetInputData(data)
        divide.Update()
        data = divide.GetOutput()
    if data.GetNumberOfPolys() > 1.05 * triangleCount:
        reduce = vtk.vtkQuadricDecimation()
        reduce.SetInputData(data)
        reduce.SetTargetReduction(1.0 - triangleCount / data.GetNumberOfPolys())
        reduce.Update()
        data = reduce.GetOutput()
    return data


def bentSpine(spine: SpineMeshes, random: np.random.Generator, degrees: float, millimetres: float) -> tuple[SpineMeshes, list[FloatArray]]:
    """The spine in another posture, and what moved each vertebra there.

    Neighbours turn against each other about a random axis and shift along a random direction, by normally distributed amounts of
    the given standard deviations, about the point between them; the motions add up from the head down.
    """
    motions = [np.eye(4)]
    for above, below in itertools.pairwise(spine.centres):
        axes = random.normal(size=(2, 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        rotation = rotationsFromVectors(axes[:1] * np.radians(degrees) * random.normal())[0]
        middle = (above + below) / 2.0
        motions.append(motions[-1] @ rigidFrom(rotation, middle - rotation @ middle + axes[1] * millimetres * random.normal()))
    moved = [transformPoints(motion, points) for motion, points in zip(motions, spine.points)]
    return spineOf(spine.names, moved, list(spine.triangles)), motions


def phantomSpine(seed: int = 0) -> SpineMeshes:
    """A procedural spine, L1-L5, for where no real meshes are at hand: surfaces of a simulated patient's labels."""
    from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
    from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters, randomPhantomParameters

    phantom = buildLumbarPhantom(randomPhantomParameters(seed, PhantomParameters()))
    return spineOfLabels(phantom.labels, phantom.ijkToRas)


def spineOfLabels(labels: npt.NDArray[np.uint8], ijkToRas: FloatArray) -> SpineMeshes:
    """Meshes of the vertebrae L1-L5 of a simulated patient's label volume."""
    from IntradiscalNavLib.Simulation.PhantomLabels import VERTEBRA_LABELS

    names = ("L1", "L2", "L3", "L4", "L5")
    points, triangles = [], []
    for name in names:
        mask = (labels == VERTEBRA_LABELS[name]).astype(np.float32)
        image = vtk.vtkImageData()
        image.SetDimensions(*mask.shape[::-1])
        image.GetPointData().SetScalars(numpy_to_vtk(gaussian_filter(mask, 0.6).ravel(), deep=True))
        edges = vtk.vtkFlyingEdges3D()
        edges.SetInputData(image)
        edges.SetValue(0, 0.5)
        edges.Update()
        mesh = edges.GetOutput()
        points.append(transformPoints(ijkToRas, vtk_to_numpy(mesh.GetPoints().GetData()).astype(float)))
        triangles.append(vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64))
    return spineOf(names, points, triangles)


def dataFolder() -> pathlib.Path | None:
    """Folder of the real data, None when it isn't given."""
    folder = os.environ.get("INTRADISCAL_DATA", "")
    return pathlib.Path(folder) if folder else None


def tuningSpine() -> SpineMeshes:
    """The spine every parameter was tuned on: expert masks of one patient of VerSe; without the data a procedural one."""
    folder = dataFolder()
    if folder is None:
        return phantomSpine(1)
    return readSpine(folder / "mesh" / "verse004_L1-L5", ("L1", "L2", "L3", "L4", "L5"))


def heldOutSpine() -> SpineMeshes:
    """The spine nothing was tuned on: another patient, segmented by TotalSegmentator; without the data another procedural one."""
    folder = dataFolder()
    if folder is None:
        return phantomSpine(2)
    return readSpine(folder / "mesh" / "totalsegmentator_L1-S1", ("L1", "L2", "L3", "L4", "L5", "S1"))
