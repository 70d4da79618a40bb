"""Rehearses a procedure in the panels and writes the pictures of README and tutorials.

    python Testing/makeScreenshots.py [FOLDER]

The views are the real MRML views rendered off-screen; the panels are drawn by the Qt stand-ins and look a little different in Slicer.
"""

import pathlib
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "Testing" / "QtStandIns"))

VIEW_SIZE = (480, 400)
TIMEOUT_SEC = 120.0
SETTLING_SEC = 2.5


def runUntil(host, done) -> None:
    deadline = time.monotonic() + TIMEOUT_SEC
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("The rehearsal did not come to its end in time.")
        host.application.processEvents()
        time.sleep(0.01)


def montage(paths, columns: int, target: pathlib.Path) -> None:
    from PIL import Image

    pictures = [Image.open(path).convert("RGB") for path in paths]
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    sheet.save(target, optimize=True)
    print("written", target)


def main(folder: pathlib.Path) -> None:
    import PanelHost

    from IntradiscalNavHeadless.OffscreenViews import SliceView, ThreeDView
    from IntradiscalNavHeadless.SceneHost import startHost
    from IntradiscalNavLib.Views.NavigationLayout import FUSION, PATH_ACROSS, PATH_ALONG, SLICE_VIEWS, TARGET, THREE_D, ULTRASOUND

    folder.mkdir(parents=True, exist_ok=True)
    host = PanelHost.start()
    views = {view: SliceView(startHost(), view.tag, "Axial", VIEW_SIZE) for view in SLICE_VIEWS}
    views[THREE_D] = ThreeDView(startHost(), THREE_D.tag, VIEW_SIZE)
    registration, log, panel = (host.openPanel(name) for name in PanelHost.MODULES)
    with tempfile.TemporaryDirectory() as case:
        log.ui.caseFolderEdit.currentPath = case
        log.ui.pseudonymEdit.text = "Rehearsal"
        log.ui.openCaseButton.click()
        log.ui.patientInButton.click()
        logic, node = panel.logic, panel._parameterNode
        panel.ui.rehearseButton.click()
        runUntil(host, lambda: logic.connection.stream.node("NeedleToReference") is not None)
        for _step in ("register", "plan", "guide"):
            panel.ui.rehearseNextButton.click()
        runUntil(host, lambda: logic.state is not None and logic.state.displayed.phase.value == "advancing")
        runUntil(host, lambda: (g := logic.state.displayed.guidance) is not None and g.tipToTargetMm < 25)
        logic.views.scene3d.placeCamera()
        paths = []
        for view in (FUSION, ULTRASOUND, TARGET, PATH_ALONG, PATH_ACROSS, THREE_D):
            paths.append(views[view].writePng(pathlib.Path(case) / f"{view.tag}.png"))
        montage(paths, 3, folder / "Guidance.png")
        settled = time.monotonic() + SETTLING_SEC
        runUntil(host, lambda: time.monotonic() > settled)  # the pictures held up the stream
        panel.update()
        host.screenshot(panel, folder / "IntradiscalNavPanel.png")
        host.screenshot(panel, folder / "IntradiscalNavPanelDark.png", dark=True)
        runUntil(host, lambda: logic.reachedTarget)
        logic.tick(node)
        panel.ui.rehearseButton.click()
        log.ui.substanceEdit.text = "oxygen-ozone"
        log.ui.injectionButton.click()
        log.showLog()
        registration.update()
        host.screenshot(log, folder / "ProcedureLogPanel.png")
        host.screenshot(registration, folder / "FusionRegistrationPanel.png")
        for widget in (registration, log, panel):
            host.closePanel(widget)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "Resources" / "Screenshots")
