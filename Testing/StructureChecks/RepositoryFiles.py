"""Which files the checks look at."""

import ast
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


def parsedModuleCode(repository: pathlib.Path) -> list[tuple[pathlib.Path, ast.Module]]:
    """Path relative to the repository and syntax tree of every file that is installed into Slicer."""
    paths = [path for path in pythonFilesOf(repository) if isModuleCode(repository, path)]
    return [(path.relative_to(repository), ast.parse(path.read_text(encoding="utf-8"), str(path))) for path in paths]


def panelSources(repository: pathlib.Path, module: str) -> dict[pathlib.Path, str]:
    """What of a module knows Qt: its file, and the sections of its panel."""
    paths = [moduleFile(repository, module), *sorted((repository / module / f"{module}Sections").glob("*.py"))]
    return {path: path.read_text(encoding="utf-8") for path in paths}
