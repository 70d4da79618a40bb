"""CMake lists, extension description, icons, test names."""

import json
import pathlib
import re
import struct

from .RepositoryFiles import MODULES, filesOf

NOT_INSTALLED_FOLDERS = {"IntradiscalNavHeadless", "Testing", "__pycache__"}
NOT_INSTALLED_SUFFIXES = {".txt", ".pyc"}
INDEX_SCHEMA = "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
INDEX_REQUIRED = {"$schema", "category", "scm_url"}
INDEX_ALLOWED = INDEX_REQUIRED | {
    "scm_revision",
    "scm_type",
    "build_dependencies",
    "build_subdirectory",
    "dicom_support_rule",
    "enabled",
    "tier",
}


def _listed(text: str, variable: str) -> list[str]:
    found = re.search(rf"set\({variable}\s([^)]*)\)", text)
    return found.group(1).split() if found else []


def checkModuleFilesListed(repository: pathlib.Path) -> list[str]:
    """A file that isn't listed works in the source tree and is missing from the package."""
    found = []
    for module in MODULES:
        cmake = repository / module / "CMakeLists.txt"
        if not cmake.is_file():
            found.append(f"{module}: no CMakeLists.txt")
            continue
        text = cmake.read_text()
        listed = _listed(text, "MODULE_PYTHON_SCRIPTS") + _listed(text, "MODULE_PYTHON_RESOURCES")
        folder = repository / module
        wanted = set()
        for path in filesOf(repository, module):
            relative = path.relative_to(folder)
            if not (NOT_INSTALLED_FOLDERS & set(relative.parts) or path.suffix in NOT_INSTALLED_SUFFIXES or path.name.startswith(".")):
                wanted.add(relative.as_posix())
        found += [
            f"{module}/CMakeLists.txt: {name} isn't listed; run python Testing/updateCMakeLists.py" for name in sorted(wanted - set(listed))
        ]
        found += [f"{module}/CMakeLists.txt: {name} is listed and doesn't exist" for name in sorted(set(listed) - wanted)]
        found += [f"{module}/CMakeLists.txt: {name} is listed twice" for name in sorted({n for n in listed if listed.count(n) > 1})]
    return found


def checkIndexEntry(repository: pathlib.Path) -> list[str]:
    """Resources/IntradiscalNav.json is the entry for Slicer's extension index and must say what CMake says."""
    path = repository / "Resources" / "IntradiscalNav.json"
    if not path.is_file():
        return ["Resources/IntradiscalNav.json is missing"]
    raw = path.read_bytes()
    entry = json.loads(raw)
    cmake = (repository / "CMakeLists.txt").read_text()
    project = re.search(r"project\((\w+)\)", cmake)
    name = path.stem
    found = []
    if b"\r" in raw:
        found.append(f"{path.name}: line ends must be LF")
    if name.startswith("Slicer"):
        found.append(f"{path.name}: the name must not start with Slicer")
    if project is None or project.group(1) != name:
        found.append(f"{path.name}: CMake's project() has another name")
    if entry.get("$schema") != INDEX_SCHEMA:
        found.append(f"{path.name}: $schema isn't {INDEX_SCHEMA}")
    found += [f"{path.name}: {key} is missing" for key in sorted(INDEX_REQUIRED - set(entry))]
    found += [f"{path.name}: the schema doesn't know {key}" for key in sorted(set(entry) - INDEX_ALLOWED)]
    depends = _listed(cmake, "EXTENSION_DEPENDS")
    if any("," in item for item in depends):
        found.append("CMakeLists.txt: a comma in EXTENSION_DEPENDS makes a dependency of that name")
    if entry.get("build_dependencies", []) != [item.strip('"') for item in depends]:
        found.append(f"{path.name}: build_dependencies {entry.get('build_dependencies')} differ from EXTENSION_DEPENDS {depends}")
    url = entry.get("scm_url", "")
    repositoryName = url.rsplit("/", 1)[-1].removesuffix(".git")
    if not url.startswith("https://") or repositoryName not in (
        f"Slicer{name}",
        f"Slicer-{name}",
        f"Slicer_{name}",
        f"SlicerExtension-{name}",
    ):
        found.append(f"{path.name}: scm_url must be https and the repository be called Slicer{name}")
    if not 1 <= entry.get("tier", 1) <= 5:
        found.append(f"{path.name}: tier must be 1 to 5")
    return found


def pngSize(path: pathlib.Path) -> tuple[int, int]:
    """Width and height by the file's own header; ValueError if it's no PNG."""
    head = path.read_bytes()[:24]
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path} is no PNG")
    width, height = struct.unpack(">II", head[16:24])
    return int(width), int(height)


def checkPictures(repository: pathlib.Path) -> list[str]:
    """Icons and screenshots exist, are PNG by content, and the URLs in CMake point at files of the repository."""
    found = []
    wanted = [repository / module / "Resources" / "Icons" / f"{module}.png" for module in MODULES]
    cmake = (repository / "CMakeLists.txt").read_text()
    for variable in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        value = re.search(rf'set\({variable} "([^"]*)"\)', cmake)
        for url in value.group(1).split() if value else []:
            wanted.append(repository / url.split("/main/", 1)[-1])
    wanted += [path for path in filesOf(repository) if path.suffix == ".png" and path not in wanted]
    for path in wanted:
        name = path.relative_to(repository)
        if not path.is_file():
            found.append(f"{name} is missing")
            continue
        try:
            width, height = pngSize(path)
        except ValueError as error:
            found.append(str(error))
            continue
        if path.parent.name == "Icons" and (width != height or width < 64):
            found.append(f"{name}: an icon is square and 64 pixels at least, not {width} x {height}")
    return found


def checkUniqueTestNames(repository: pathlib.Path) -> list[str]:
    """slicer_add_python_unittest finds a test by its file name, and pytest imports by it."""
    found, seen = [], {}
    for path in filesOf(repository):
        if path.suffix == ".py" and (path.name.startswith("test_") or path.name.endswith("SelfTest.py")):
            if path.name in seen:
                found.append(f"{path.relative_to(repository)} has the same name as {seen[path.name]}")
            seen[path.name] = path.relative_to(repository)
    return found


CHECKS = (checkModuleFilesListed, checkIndexEntry, checkPictures, checkUniqueTestNames)
