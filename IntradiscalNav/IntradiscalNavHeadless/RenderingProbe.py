"""Can this machine render off-screen? VTK ends the whole process at its first render where no OpenGL library is found,
so the question is put to a child process first."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

PACKAGES = "libgl1 libegl1 libgl1-mesa-dri"

_PROBE = """
import os
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow, vtkWindowToImageFilter
window = vtkRenderWindow()
window.SetOffScreenRendering(1)
window.ShowWindowOff()
window.SetSize(16, 16)
window.AddRenderer(vtkRenderer())
window.Render()
grab = vtkWindowToImageFilter()
grab.SetInput(window)
grab.ReadFrontBufferOff()
grab.Update()
assert grab.GetOutput().GetDimensions()[:2] == (16, 16)
print("rendering works")
"""


@functools.lru_cache(maxsize=1)
def whyNoRendering() -> str:
    """Reason why pictures can't be rendered here, with the remedy; an empty string where they can."""
    if os.environ.get("INTRADISCALNAV_NO_RENDERING"):
        return "Rendering is switched off by the environment variable INTRADISCALNAV_NO_RENDERING."
    try:
        result = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return f"The off-screen rendering test did not end within 60 s. Check the OpenGL libraries (apt-get install {PACKAGES})."
    if result.returncode == 0 and "rendering works" in result.stdout:
        return ""
    return (
        "No pictures: VTK found no OpenGL library for off-screen rendering "
        f"(the test process ended with {result.returncode}). Install it with: apt-get install {PACKAGES}"
    )
