"""Other registrations the benchmark runs beside ours, called the way their users call them. All take and return 4x4 Reference-to-RAS."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import vtk
from scipy.spatial import cKDTree
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from FusionRegistrationLib.PoseSearch import rotationsFromVectors, startsAround
from FusionRegistrationLib.RigidTransform import rigidFrom, transformPoints

FloatArray = npt.NDArray[np.float64]


def vtkIcp(points: FloatArray, target: vtk.vtkPolyData, start: FloatArray) -> FloatArray:
    """vtkIterativeClosestPointTransform as SlicerIGT's model registration sets it: rigid, 100 iterations, 200 landmarks."""
    placed = transformPoints(start, points)
    source = vtk.vtkPolyData()
    vtkPoints = vtk.vtkPoints()
    vtkPoints.SetData(numpy_to_vtk(np.ascontiguousarray(placed), deep=True))
    source.SetPoints(vtkPoints)
    icp = vtk.vtkIterativeClosestPointTransform()
    icp.SetSource(source)
    icp.SetTarget(target)
    icp.GetLandmarkTransform().SetModeToRigidBody()
    icp.SetMaximumNumberOfIterations(100)
    icp.Modified()
    icp.Update()
    matrix = icp.GetMatrix()
    found = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    result: FloatArray = found @ start
    return result


class TargetCloud:
    """Vertices and normals of a target mesh with their search tree, for the point-to-plane peers."""

    def __init__(self, mesh: vtk.vtkPolyData, near: FloatArray, withinMm: float = 1.0) -> None:
        normals = vtk.vtkPolyDataNormals()
        normals.SetInputData(mesh)
        normals.SplittingOff()
        normals.Update()
        output = normals.GetOutput()
        points = vtk_to_numpy(output.GetPoints().GetData()).astype(float)
        direction = vtk_to_numpy(output.GetPointData().GetNormals()).astype(float)
        # Only what can be seen from behind, as ours: it helps them.
        visible = np.isfinite(cKDTree(near).query(points, distance_upper_bound=withinMm)[0])
        self.points, self.normals = points[visible], direction[visible]
        self.tree = cKDTree(self.points)


def trimmedPointToPlane(points: FloatArray, target: TargetCloud, start: FloatArray, keep: float = 0.75, iterations: int = 40) -> FloatArray:
    """Trimmed iterative closest points, point to plane, on scipy's tree."""
    result = start.copy()
    for _ in range(iterations):
        placed = transformPoints(result, points)
        distance, index = target.tree.query(placed)
        chosen = distance <= np.quantile(distance, keep)
        normal, nearest = target.normals[index[chosen]], target.points[index[chosen]]
        centre = placed[chosen].mean(axis=0)
        jacobian = np.hstack([np.cross(placed[chosen] - centre, normal), normal])
        residual = ((placed[chosen] - nearest) * normal).sum(axis=1)
        step = -np.linalg.lstsq(jacobian, residual, rcond=None)[0]
        rotation = rotationsFromVectors(step[None, :3])[0]
        result = rigidFrom(rotation, centre - rotation @ centre + step[3:]) @ result
        if np.linalg.norm(step[3:]) + 40.0 * np.linalg.norm(step[:3]) < 1e-3:
            break
    return result


class SmallGicp:
    """small_gicp's point-to-plane from several starts, distances shrinking 20-5-2.5 mm."""

    def __init__(self, target: TargetCloud) -> None:
        import small_gicp

        self.module = small_gicp
        cloud = small_gicp.PointCloud(np.hstack([target.points, np.ones((len(target.points), 1))]))
        small_gicp.estimate_normals(cloud, num_neighbors=12, num_threads=1)
        self.cloud, self.tree, self.scipyTree = cloud, small_gicp.KdTree(cloud, num_threads=1), target.tree

    def align(self, points: FloatArray, start: FloatArray, starts: int, radiusMm: float, radiusDeg: float) -> FloatArray:
        """Best of full runs from the given number of starts around a start."""
        cloud, few = self._cloud(points), self._few(points)
        found = [self._refine(cloud, pose) for pose in self._starts(points, start, starts, radiusMm, radiusDeg)]
        return min(found, key=lambda pose: self._cost(few, pose))

    def alignCoarseFirst(self, points: FloatArray, start: FloatArray, starts: int, radiusMm: float, radiusDeg: float) -> FloatArray:
        """The same with our own idea added to it: all starts on 300 points first, only the best is refined on all."""
        few = self._few(points)
        fewCloud = self._cloud(few)
        coarse = []
        for pose in self._starts(points, start, starts, radiusMm, radiusDeg):
            found = self._one(fewCloud, self._one(fewCloud, pose, 15.0, 10), 5.0, 10)
            coarse.append((self._cost(few, found), found))
        return self._refine(self._cloud(points), min(coarse, key=lambda item: item[0])[1])

    def _starts(self, points: FloatArray, start: FloatArray, starts: int, radiusMm: float, radiusDeg: float) -> list[FloatArray]:
        centre = points.mean(axis=0)
        poses = startsAround(start[:3, :3], start[:3, :3] @ centre + start[:3, 3], starts, radiusMm, radiusDeg)
        return [rigidFrom(rotation, place - rotation @ centre) for rotation, place in zip(poses.rotations, poses.translationsMm)]

    def _few(self, points: FloatArray) -> FloatArray:
        chosen: FloatArray = points[np.random.default_rng(0).permutation(len(points))[:300]]
        return chosen

    def _cloud(self, points: FloatArray) -> object:
        return self.module.PointCloud(np.hstack([points, np.ones((len(points), 1))]))

    def _one(self, cloud: object, start: FloatArray, largestMm: float, iterations: int) -> FloatArray:
        result = self.module.align(
            self.cloud,
            cloud,
            self.tree,
            init_T_target_source=start,
            registration_type="PLANE_ICP",
            max_correspondence_distance=largestMm,
            num_threads=1,
            max_iterations=iterations,
        )
        return np.array(result.T_target_source)

    def _refine(self, cloud: object, start: FloatArray) -> FloatArray:
        for largest in (20.0, 5.0, 2.5):
            start = self._one(cloud, start, largest, 20)
        return start

    def _cost(self, points: FloatArray, pose: FloatArray) -> float:
        distance = self.scipyTree.query(transformPoints(pose, points))[0]
        return float((distance**2 / (distance**2 + 2.25)).mean())


def open3dPointToPlane(points: FloatArray, target: TargetCloud, start: FloatArray) -> FloatArray:
    """Open3D's point-to-plane with Tukey's kernel on a falling schedule.

    :raises ImportError: Open3D isn't installed.
    """
    import open3d

    source, cloud = open3d.geometry.PointCloud(), open3d.geometry.PointCloud()
    source.points = open3d.utility.Vector3dVector(points)
    cloud.points, cloud.normals = open3d.utility.Vector3dVector(target.points), open3d.utility.Vector3dVector(target.normals)
    result = start
    for largest in (20.0, 8.0, 3.0):
        estimation = open3d.pipelines.registration.TransformationEstimationPointToPlane(
            open3d.pipelines.registration.TukeyLoss(k=largest / 3.0)
        )
        result = open3d.pipelines.registration.registration_icp(source, cloud, largest, result, estimation).transformation
    return np.array(result)
