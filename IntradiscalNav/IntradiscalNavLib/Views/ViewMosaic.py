"""All views as one picture, in the order of the navigation layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Views.NavigationLayout import FUSION, PATH_ACROSS, PATH_ALONG, TARGET, THREE_D, ULTRASOUND, ViewName

GRID = ((FUSION, ULTRASOUND, TARGET), (PATH_ACROSS, PATH_ALONG, THREE_D))
Picture = npt.NDArray[np.uint8]


def windowPicture(window: Any) -> Picture:
    """What a vtkRenderWindow has rendered last: (rows, columns, 3), first row on top."""
    import vtk
    from vtkmodules.util.numpy_support import vtk_to_numpy

    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.ShouldRerenderOff()
    grab.Update()
    image = grab.GetOutput()
    columns, rows, _ = image.GetDimensions()
    return np.ascontiguousarray(vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[::-1, :, :3])


def viewMosaic(pictureOf: Callable[[ViewName], Picture]) -> Picture:
    """The six views in one picture; they are cut to the size of the smallest."""
    pictures = [[pictureOf(view) for view in row] for row in GRID]
    height, width = (min(picture.shape[axis] for row in pictures for picture in row) for axis in (0, 1))
    return np.concatenate([np.concatenate([picture[:height, :width] for picture in row], axis=1) for row in pictures], axis=0)
