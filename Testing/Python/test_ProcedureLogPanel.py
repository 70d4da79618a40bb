"""The panel of ProcedureLog on the Qt stand-ins: every button, every rule, scene close."""

import pathlib

import pytest


@pytest.fixture
def panel(panels, tmp_path):
    widget = panels.openPanel("ProcedureLog")
    widget.caseFolder = tmp_path / "case"
    return widget


def openCase(widget, folder: pathlib.Path, pseudonym: str = "P07") -> None:
    widget.ui.caseFolderEdit.currentPath = str(folder)
    widget.ui.pseudonymEdit.text = pseudonym
    widget.ui.openCaseButton.click()


def buttonsOf(widget):
    return {name: value for name, value in vars(widget.ui).items() if name.endswith("Button")}


def test_nothingWorksWithoutCaseAndSaysWhy(panel):
    for name, button in buttonsOf(panel).items():
        assert not button.enabled, name
        assert "first" in button.toolTip, f"{name}: {button.toolTip}"


def test_openingMakesTheCase(panel, tmp_path):
    panel.ui.caseFolderEdit.currentPath = str(tmp_path / "new")
    assert panel.ui.openCaseButton.enabled
    panel.ui.pseudonymEdit.text = "P07"
    panel.ui.openCaseButton.click()
    assert panel.logic.isCaseOpen(panel._parameterNode)
    assert "P07" in panel.ui.caseLabel.text
    assert panel.ui.patientInButton.enabled and panel.ui.reportButton.enabled
    assert not panel.ui.remarkButton.enabled and "note" in panel.ui.remarkButton.toolTip
    assert not panel.ui.undoButton.enabled and not panel.ui.countPassesButton.enabled


def test_pseudonymOfAnExistingCaseIsShown(panel, tmp_path):
    openCase(panel, tmp_path / "a", "First")
    openCase(panel, tmp_path / "b", "Second")
    panel.ui.caseFolderEdit.currentPath = str(tmp_path / "a")
    panel.ui.openCaseButton.click()
    assert panel.ui.pseudonymEdit.text == "First"


def test_everyEventButtonLogs(panel, tmp_path):
    from ProcedureLogLib.ProcedureStore import ProcedureStore

    openCase(panel, tmp_path / "case")
    ui = panel.ui
    ui.patientInButton.click()
    ui.volumeSpin.value = 7.5
    ui.substanceEdit.text = "oxygen-ozone"
    ui.injectionButton.click()
    ui.noteEdit.text = "needle bent at the facet"
    ui.remarkButton.click()
    assert ui.noteEdit.text == "" and not ui.remarkButton.enabled
    ui.noteEdit.text = "vasovagal"
    ui.complicationButton.click()
    ui.patientOutButton.click()
    with ProcedureStore(tmp_path / "case") as store:
        events = store.events()
    assert [event.kind.value for event in events] == ["patientIn", "injection", "remark", "complication", "patientOut"]
    assert events[1].values["volumeMl"] == 7.5 and events[1].text == "oxygen-ozone"
    assert ui.eventsTable.rowCount == 5
    assert "7.5" in ui.eventsTable.item(1, 2).text()
    assert "7.5 mL" in ui.figuresLabel.text


def test_undoTakesTheLastEntryBack(panel, tmp_path):
    openCase(panel, tmp_path / "case")
    panel.ui.patientInButton.click()
    panel.ui.injectionButton.click()
    panel.ui.undoButton.click()
    assert panel.ui.eventsTable.rowCount == 1
    panel.ui.undoButton.click()
    assert panel.ui.eventsTable.rowCount == 0 and not panel.ui.undoButton.enabled


def test_selectedEntryIsWithdrawn(panel, tmp_path):
    openCase(panel, tmp_path / "case")
    panel.ui.patientInButton.click()
    panel.ui.injectionButton.click()
    assert not panel.ui.withdrawButton.enabled
    panel.ui.eventsTable.setCurrentCell(0, 0)
    assert panel.ui.withdrawButton.enabled
    panel.ui.withdrawButton.click()
    assert panel.ui.eventsTable.rowCount == 1
    assert panel.ui.eventsTable.item(0, 1).text() == "Injection"


def test_zeroVolumeIsNoInjection(panel, tmp_path):
    openCase(panel, tmp_path / "case")
    panel.ui.volumeSpin.value = 0
    assert not panel.ui.injectionButton.enabled and "volume" in panel.ui.injectionButton.toolTip


def test_reportAndTable(panels, panel, tmp_path):
    openCase(panel, tmp_path / "case")
    panel.ui.patientInButton.click()
    panel.ui.groupCombo.currentText = "CT/US fusion"
    panel.ui.levelCombo.currentText = "L4-L5"
    panel.ui.storeDetailsButton.click()
    panel.ui.reportButton.click()
    html = (tmp_path / "case" / "Report-P07.html").read_text(encoding="utf-8")
    assert "P07" in html and "L4-L5" in html and "fusion" in html
    assert "Report" in panels.statusMessages[-1]
    panel.ui.tableButton.click()
    table = panel._parameterNode.logTable
    assert table.GetNumberOfRows() == 1 and table.GetCellText(0, 1) == "Patient in the room"
    panel.ui.tableButton.click()
    assert panel._parameterNode.logTable is table, "the table is kept, not made again"


def test_passesOfDicomFolderAreCounted(panel, tmp_path):
    writeCtSeries(tmp_path / "dicom")
    openCase(panel, tmp_path / "case")
    panel.ui.dicomFolderEdit.currentPath = str(tmp_path / "dicom")
    assert panel.ui.countPassesButton.enabled
    panel.ui.doseFactorSourceEdit.text = ""
    assert not panel.ui.countPassesButton.enabled and "k factor" in panel.ui.countPassesButton.toolTip
    panel.ui.doseFactorSourceEdit.text = "test"
    panel.ui.countPassesButton.click()
    assert panel.ui.passesLabel.text.startswith("2 CT passes")
    assert "CT passes: 2" in panel.ui.figuresLabel.text


def writeCtSeries(folder: pathlib.Path) -> None:
    """Two helical acquisitions of three slices, ten minutes apart."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    study = generate_uid()
    for acquisition in (1, 2):
        series = generate_uid()
        for slice_ in range(3):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
            dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = study, series, "CT"
            dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = "1", "Test^Person", "19500101"
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            dataset.AcquisitionNumber, dataset.InstanceNumber = acquisition, slice_ + 1
            dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240105"
            dataset.AcquisitionTime = dataset.ContentTime = f"10{10 * acquisition:02d}0{slice_}"
            dataset.ExposureTime, dataset.KVP, dataset.CTDIvol, dataset.SpiralPitchFactor = 500, 120, 8.0, 1.0
            dataset.ImagePositionPatient = [0, 0, 5 * slice_]
            dataset.Rows = dataset.Columns = 1
            pydicom.dcmwrite(folder / f"{acquisition}-{slice_}.dcm", dataset, enforce_file_format=True)


def test_groupsAreCompared(panel, tmp_path):
    for number, group in enumerate(("CT/US fusion", "CT guidance alone") * 3):
        openCase(panel, tmp_path / "cases" / str(number), f"P{number}")
        panel.ui.groupCombo.currentText = group
        panel.ui.successCombo.currentText = "yes"
        panel.ui.storeDetailsButton.click()
    panel.ui.cohortFolderEdit.currentPath = str(tmp_path / "cases")
    panel.ui.cohortButton.click()
    assert panel.ui.cohortLabel.text.startswith("3 fusion, 3 control")


def test_sceneCloseEmptiesThePanelAndReloadFindsTheCase(panels, panel, tmp_path):
    import slicer

    openCase(panel, tmp_path / "case")
    panel.ui.patientInButton.click()
    scene = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(scene))
    panels.scene.Clear(0)
    assert panel.ui.eventsTable.rowCount == 0 and not panel.ui.patientInButton.enabled
    slicer.util.loadScene(str(scene))
    panel.enter()
    assert panel.ui.pseudonymEdit.text == "P07" and panel.ui.eventsTable.rowCount == 1


def test_failureIsShownAndPanelGoesOn(panels, panel, tmp_path):
    import PythonQtStyle

    (tmp_path / "file").write_text("")
    panel.ui.caseFolderEdit.currentPath = str(tmp_path / "file" / "case")
    panel.ui.openCaseButton.click()
    assert len(PythonQtStyle.slotErrors) == 1 and "case folder" in str(PythonQtStyle.slotErrors[0])
    PythonQtStyle.slotErrors.clear()
    openCase(panel, tmp_path / "case")
    assert panel.ui.patientInButton.enabled


def test_shortcutsAreUniqueAndShown(panel):
    shortcuts = {}
    for name, button in buttonsOf(panel).items():
        keys = button.shortcut.toString()
        if keys:
            assert keys not in shortcuts, f"{name} and {shortcuts[keys]} share {keys}"
            shortcuts[keys] = name
            original = panel._buttons.toolTipOf(next(a for a, b in panel._buttons._buttons.items() if b is button))
            assert keys in original, f"{name}: the tooltip doesn't tell {keys}"
    assert len(shortcuts) >= 6
