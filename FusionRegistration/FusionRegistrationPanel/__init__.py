"""What the panel and the Python console share: parameter node and logic of FusionRegistration. Knows nodes, no Qt."""

import pathlib
import sys

# Installed, the three modules share one folder. In a source tree they lie side by side: ScriptedPanel lies with ProcedureLog.
_folder = pathlib.Path(__file__).resolve().parents[2] / "ProcedureLog"
if (_folder / "ProcedureLog.py").is_file() and str(_folder) not in sys.path:
    sys.path.append(str(_folder))
