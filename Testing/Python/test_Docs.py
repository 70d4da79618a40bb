"""The documentation is true: its Python runs, its commands exist with their options, its links and names lead somewhere."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "Docs").rglob("*.md"), *(REPOSITORY / "Resources").rglob("*.md")])
BLOCK = re.compile(r"(?:<!-- ([^>]*?) -->\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
HOST = f"""
import sys
sys.path.insert(0, {str(REPOSITORY / "Testing")!r})
from IntradiscalNavHeadless.ScriptedModules.ModuleLoader import loadModule
for name in ("FusionRegistration", "ProcedureLog", "IntradiscalNav"):
    loadModule({str(REPOSITORY)!r} + f"/{{name}}/{{name}}.py")
"""


def blocks(page: pathlib.Path, language: str) -> list[tuple[str, str]]:
    """(mark, text) of the code blocks of a language; the mark is the comment right above."""
    return [(mark or "", text) for mark, kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def pagesWith(language: str) -> list:
    return [pytest.param(page, id=str(page.relative_to(REPOSITORY))) for page in PAGES if blocks(page, language)]


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", pagesWith("python"))
def test_pythonOfThePageRuns(page, tmp_path):
    """All blocks of a page in one process, from top to bottom, as a reader would type them."""
    code = [text for mark, text in blocks(page, "python") if not mark.startswith("not run")]
    script = tmp_path / "page.py"
    script.write_text(HOST + "\n".join(code), encoding="utf-8")
    run([sys.executable, str(script)], cwd=tmp_path)


def commands(page: pathlib.Path) -> list[str]:
    lines = [
        line.split(" #")[0].strip() for mark, text in blocks(page, "bash") if not mark.startswith("not run") for line in text.splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("page", pagesWith("bash"))
def test_commandsOfThePageExist(page):
    """make targets, scripts, and the commands of intradiscalnav with every option that the page uses."""
    makefile = (REPOSITORY / "Makefile").read_text()
    for line in commands(page):
        words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
        program = pathlib.Path(words[0]).name
        if program == "make":
            for target in words[1:]:
                assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"{line}: no target {target}"
        elif program == "python":
            assert (REPOSITORY / words[1]).is_file(), line
        elif program == "intradiscalnav":
            checkOptions(line, words[1:])
        else:
            assert program in ("sudo", "apt-get", "git", "cd"), f"{page.name}: nobody checks {line!r}"


def checkOptions(line: str, words: list[str]) -> None:
    from typer.main import get_command

    from IntradiscalNavHeadless.CommandLine import app

    command = get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{line}: {command.name} has no option {word}"
    if words and not words[0].startswith("-"):
        assert any(parameter.param_type_name == "argument" for parameter in command.params), f"{line}: {words[0]} is no command"


@pytest.mark.parametrize("page", [p for p in pagesWith("bash") if any(m == "run" for m, _ in blocks(p.values[0], "bash"))])
def test_markedCommandsRun(page, tmp_path):
    """Blocks marked `run` are run as they stand, in an empty folder."""
    program = f"{shlex.quote(sys.executable)} -c 'from IntradiscalNavHeadless.CommandLine import main; main()'"
    for mark, text in blocks(page, "bash"):
        if mark == "run":
            script = "set -e\nintradiscalnav() { " + program + ' "$@"; }\n' + text
            run(["bash", "-c", script], cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"})


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(REPOSITORY))) for page in PAGES])
def test_linksAndPicturesExist(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_namesOfTheApiPageExist():
    import importlib

    names = re.findall(
        r"`((?:FusionRegistration|IntradiscalNav|ProcedureLog)(?:Lib|Headless)\.[\w.]+)`", (REPOSITORY / "Docs" / "Api.md").read_text()
    )
    assert len(names) > 20
    for name in names:
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute), name


def test_markerPlateOfTheTutorialIsOne():
    from FusionRegistrationLib.MarkerPlate import MarkerPlate

    page = REPOSITORY / "Docs" / "Tutorials" / "FusionRegistration.md"
    found = [text for mark, text in blocks(page, "json") if mark == "marker plate"]
    assert len(found) == 1
    assert MarkerPlate.fromDict(json.loads(found[0])).symmetryWarning() == ""


def test_shortcutsOfTheTutorialsAreThoseOfThePanels():
    for module in ("IntradiscalNav", "ProcedureLog"):
        told = set()
        for keys in re.findall(
            r"^\| (Ctrl\+Shift\+[^|]+)\|", (REPOSITORY / "Docs" / "Tutorials" / f"{module}.md").read_text(), re.MULTILINE
        ):
            told |= {f"Ctrl+Shift+{key.strip()}" for key in keys.removeprefix("Ctrl+Shift+").split("/")}
        panel = "".join(path.read_text() for path in (REPOSITORY / module / "Resources" / "UI").glob("*.ui"))
        assert told == set(re.findall(r">(Ctrl\+Shift\+\w)</string>", panel)), module
