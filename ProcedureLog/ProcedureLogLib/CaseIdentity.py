"""Who the case is: the one file that joins a pseudonym to a person.

Everything else in a case folder is written under the pseudonym, with dates shifted and DICOM UIDs replaced by keyed hashes. Delete this
file and the case folder can't be traced back (nor can it take up new times, whose shift would be unknown).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

IDENTITY_FILE = "identity-keep-local.json"
LEAST_SHIFT_WEEKS = 521
SHIFT_CHOICES = 521
"""Dates move back by 10 to 20 years: far enough that a shifted date is never taken for one of the real dates of the same patient."""


class IdentityRemoved(RuntimeError):
    """The identity file was deleted: the case is anonymous and closed for new times."""


@dataclass(frozen=True)
class CaseIdentity:
    """pseudonym, secret of the UID hashes, shift of all dates in days (whole weeks, so weekdays and times of day stay), and who it is."""

    pseudonym: str
    secret: str
    dateShiftDays: int
    person: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shift(self) -> timedelta:
        return timedelta(days=self.dateShiftDays)

    def keyOf(self, identifier: str) -> str:
        """16 hexadecimal digits that stand for a DICOM UID in this case: HMAC-SHA256, not undone without the secret."""
        return hmac.new(self.secret.encode(), identifier.strip().encode(), hashlib.sha256).hexdigest()[:16]


def createIdentity(person: Mapping[str, Any] | None = None, pseudonym: str = "", studySecret: str = "") -> CaseIdentity:
    """New identity. With a studySecret pseudonym and shift follow from it and person['patientId']: who comes twice keeps them.

    Raises ValueError when the pseudonym chosen contains the patient's ID or a part of the name.
    """
    known = dict(person or {})
    patientId = str(known.get("patientId", "")).strip()
    secret = secrets.token_hex(16)
    if studySecret and patientId:
        secret = hmac.new(studySecret.encode(), patientId.encode(), hashlib.sha256).hexdigest()[:32]
    number = int(secret[:12], 16)
    chosen = pseudonym.strip() or f"P{secret[-6:].upper()}"
    parts = [patientId, *str(known.get("patientName", "")).replace("^", " ").split()]
    for part in parts:
        if len(part) >= 3 and part.lower() in chosen.lower():
            raise ValueError(_("The pseudonym '{chosen}' contains the patient's name or ID; choose another").format(chosen=chosen))
    return CaseIdentity(chosen, secret, -7 * (LEAST_SHIFT_WEEKS + number % SHIFT_CHOICES), known)


def writeIdentity(identity: CaseIdentity, folder: Path) -> Path:
    """Write the identity file, readable by its owner alone where the system knows that."""
    path = folder / IDENTITY_FILE
    partial = folder / (IDENTITY_FILE + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        json.dump(asdict(identity), handle, ensure_ascii=False, indent=1)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(partial, path)
    return path


def readIdentity(folder: Path) -> CaseIdentity | None:
    """The identity of a case folder, None where it was removed. Raises RuntimeError when the file is there but damaged."""
    path = folder / IDENTITY_FILE
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return CaseIdentity(str(entry["pseudonym"]), str(entry["secret"]), int(entry["dateShiftDays"]), dict(entry["person"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RuntimeError(
            _("The identity file {path} is damaged ({error}); restore it, or delete it to leave the case anonymous").format(
                path=path, error=error
            )
        ) from error


def removeIdentity(folder: Path) -> bool:
    """Delete the identity file; True if there was one. The case can't be traced back afterwards."""
    path = folder / IDENTITY_FILE
    if not path.exists():
        return False
    path.unlink()
    return True
