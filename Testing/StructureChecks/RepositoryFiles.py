"""Which files the checks look at."""

import pathlib
import subprocess

MODULES = ("FusionRegistration", "ProcedureLog", "IntradiscalNav")
_SKIPPED = {".git", ".venv", "venv", "build", "runs", "node_modules", "__pycache__", ".hypothesis"}


def filesOf(repository: pathlib.Path, folder: str = ".") -> list[pathlib.Path]:
    """Files that git knows below a folder, so that half-made files of a working tree don't disturb; all files without git."""
    if (repository / ".git").exists():
        command = ["git", "-C", str(repository), "ls-files", "--cached", "-z", folder]
        listed = subprocess.run(command, capture_output=True, text=True)
        if listed.returncode == 0:
            return sorted(path for path in (repository / name for name in listed.stdout.split("\0") if name) if path.is_file())
    every = (path for path in (repository / folder).rglob("*") if path.is_file())
    return sorted(path for path in every if not _SKIPPED & set(path.relative_to(repository).parts))


def pythonFilesOf(repository: pathlib.Path, folder: str = ".") -> list[pathlib.Path]:
    return [path for path in filesOf(repository, folder) if path.suffix == ".py"]


def moduleFile(repository: pathlib.Path, module: str) -> pathlib.Path:
    return repository / module / f"{module}.py"


def isModuleCode(repository: pathlib.Path, path: pathlib.Path) -> bool:
    """Files that are installed into Slicer: module files and Lib packages."""
    parts = path.relative_to(repository).parts
    return parts[0] in MODULES and not {"Testing", "IntradiscalNavHeadless"} & set(parts)
