"""Files of a patient out of Slicer's DICOM database (ctkDICOM.sql), read without Slicer and without disturbing it.

Tables Patients, Studies, Series and Images of CTK's schema 0.5 to 0.8; file names may be relative to the database's folder.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from TranslatedText.Translation import tr as _

DATABASE_NAME = "ctkDICOM.sql"


@dataclass(frozen=True)
class DatabaseStudy:
    """A study as the database lists it. patientName and patientId are identifiers: show them, don't export them."""

    studyUid: str
    patientId: str
    patientName: str
    studyDate: str
    description: str
    fileCount: int


def _open(place: str | Path) -> tuple[sqlite3.Connection, Path]:
    path = Path(place)
    path = path / DATABASE_NAME if path.is_dir() else path
    if not path.exists():
        raise FileNotFoundError(_("{path} does not exist; give the folder of Slicer's DICOM database").format(path=path))
    return sqlite3.connect(f"file:{path.as_posix()}?mode=ro", uri=True, timeout=10.0), path.parent


def databaseStudies(place: str | Path) -> tuple[DatabaseStudy, ...]:
    """Studies of the database, newest first. Raises FileNotFoundError, or ValueError when the file is no such database."""
    connection, _unused = _open(place)
    try:
        found = connection.execute(
            "SELECT t.StudyInstanceUID, p.PatientID, p.PatientsName, t.StudyDate, t.StudyDescription, COUNT(i.SOPInstanceUID)"
            " FROM Studies t JOIN Patients p ON p.UID = t.PatientsUID JOIN Series s ON s.StudyInstanceUID = t.StudyInstanceUID"
            " JOIN Images i ON i.SeriesInstanceUID = s.SeriesInstanceUID GROUP BY t.StudyInstanceUID ORDER BY t.StudyDate DESC, 1"
        ).fetchall()
    except sqlite3.Error as error:
        raise ValueError(_("{place} is no DICOM database of Slicer: {error}").format(place=place, error=error)) from error
    finally:
        connection.close()
    return tuple(
        DatabaseStudy(
            studyUid=str(uid),
            patientId=str(patientId or ""),
            patientName=str(name or ""),
            studyDate=str(date or ""),
            description=str(description or ""),
            fileCount=int(count),
        )
        for uid, patientId, name, date, description, count in found
    )


def databaseFiles(place: str | Path, studyUid: str, modalities: tuple[str, ...] = ("CT", "SR")) -> list[str]:
    """Files of a study in the modalities that matter for passes and dose, ready for countCtPasses.

    Raises ValueError when the database doesn't know the study or is no such database.
    """
    connection, folder = _open(place)
    marks = ", ".join("?" * len(modalities))
    try:
        rows = connection.execute(
            "SELECT i.Filename FROM Images i JOIN Series s ON s.SeriesInstanceUID = i.SeriesInstanceUID"
            f" WHERE s.StudyInstanceUID = ? AND s.Modality IN ({marks}) ORDER BY i.Filename",
            (studyUid, *modalities),
        ).fetchall()
    except sqlite3.Error as error:
        raise ValueError(_("{place} is no DICOM database of Slicer: {error}").format(place=place, error=error)) from error
    finally:
        connection.close()
    if not rows:
        raise ValueError(_("The DICOM database holds no {names} file of this study").format(names=" or ".join(modalities)))
    return [str(folder / name) for (name,) in rows]
