"""What the panel and the Python console share: parameter node, workflow and logic of IntradiscalNav. Knows nodes, no Qt."""

import pathlib
import sys

# Installed, the three modules share one folder. In a source tree they lie side by side, and Slicer may load this one first.
for _sibling in ("FusionRegistration", "ProcedureLog"):
    _folder = pathlib.Path(__file__).resolve().parents[2] / _sibling
    if (_folder / f"{_sibling}.py").is_file() and str(_folder) not in sys.path:
        sys.path.append(str(_folder))
