"""The few header elements the log needs, read without building a data set.

A CT pass count looks at some thirty elements of ten thousand files. This reader walks the element headers of DICOM PS3.10 files once,
picks the wanted values and stops after the last of them. Implicit and explicit little endian, explicit big endian, undefined lengths and
files without preamble are read here; deflated files go through pydicom.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from TranslatedText.Translation import tr as _

FIRST_READ = 16384
"""Most headers of CT images end the wanted part within this many bytes."""

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF

TEXT_TAGS: dict[int, str] = {
    0x00080005: "characterSet",
    0x00080008: "imageType",
    0x00080016: "sopClassUid",
    0x00080018: "sopInstanceUid",
    0x00080020: "studyDate",
    0x00080021: "seriesDate",
    0x00080022: "acquisitionDate",
    0x00080023: "contentDate",
    0x0008002A: "acquisitionDateTime",
    0x00080030: "studyTime",
    0x00080031: "seriesTime",
    0x00080032: "acquisitionTime",
    0x00080033: "contentTime",
    0x00080060: "modality",
    0x00080070: "manufacturer",
    0x00080201: "timezoneOffset",
    0x0008103E: "seriesDescription",
    0x00083010: "irradiationEventUid",
    0x00100010: "patientName",
    0x00100020: "patientId",
    0x00100030: "birthDate",
    0x00100040: "sex",
    0x00101010: "age",
    0x00180022: "scanOptions",
    0x00180050: "sliceThickness",
    0x00180060: "kvp",
    0x00181030: "protocolName",
    0x00181150: "exposureTime",
    0x00181151: "tubeCurrent",
    0x00189302: "acquisitionType",
    0x0020000D: "studyUid",
    0x0020000E: "seriesUid",
    0x00200011: "seriesNumber",
    0x00200012: "acquisitionNumber",
    0x00200013: "instanceNumber",
    0x00200032: "imagePosition",
    0x00200052: "frameOfReferenceUid",
    0x00201041: "sliceLocation",
}
DOUBLE_TAGS: dict[int, str] = {0x00189311: "pitch", 0x00189345: "ctdiVol"}
LAST_TAG = 0x00201041
WANTED_NAMES = (*TEXT_TAGS.values(), *DOUBLE_TAGS.values(), "transferSyntax", "mediaSopClassUid", "mediaSopInstanceUid")

LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT_TEXT = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
SHORT_VRS = frozenset(_SHORT_TEXT.split())


class DamagedDicom(ValueError):
    """The file is no DICOM file, or it is cut or damaged before the wanted elements end."""


@dataclass(frozen=True)
class DicomHeader:
    """Values of one file as written: text stripped of padding, '' where absent; several values stay joined by backslashes."""

    path: str
    values: dict[str, str | float]

    def text(self, name: str) -> str:
        return str(self.values.get(name, ""))

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a multi-valued element, stripped; empty where absent."""
        whole = self.text(name)
        return tuple(part.strip() for part in whole.split("\\")) if whole else ()

    def number(self, name: str) -> float | None:
        """First value as a number, None where absent or no number."""
        value = self.values.get(name)
        if isinstance(value, float):
            return value
        try:
            return float(str(value).split("\\")[0]) if value else None
        except ValueError:
            return None

    @property
    def sopClassUid(self) -> str:
        """SOP class of the data set, else of the file meta information (de-identified files sometimes lose the first)."""
        return self.text("sopClassUid") or self.text("mediaSopClassUid")

    @property
    def sopInstanceUid(self) -> str:
        return self.text("sopInstanceUid") or self.text("mediaSopInstanceUid")


def readHeader(path: str | Path) -> DicomHeader:
    """Read the wanted elements of a file.

    Raises DamagedDicom naming the file and what is wrong, OSError when it can't be opened.
    """
    name = os.fspath(path)
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        reader = _Reader(descriptor, name, os.read(descriptor, FIRST_READ), os.fstat(descriptor).st_size)
        return DicomHeader(name, reader.read())
    finally:
        os.close(descriptor)


def readHeaderBytes(data: bytes, name: str) -> DicomHeader:
    """The same for a whole file in memory (as it came over the network); name stands for it in messages and results."""
    return DicomHeader(name, _Reader(-1, name, data, len(data)).read())


class _Reader:
    """One pass over the elements of an open file. Reads ahead in one block; values beyond it are skipped by seeking."""

    def __init__(self, descriptor: int, name: str, buffer: bytes, size: int) -> None:
        self.descriptor = descriptor
        self.name = name
        self.buffer = buffer
        self.start = 0  # offset in the file of buffer[0]
        self.size = size

    def fail(self, what: str) -> DamagedDicom:
        return DamagedDicom(f"{self.name}: {what}")

    def need(self, offset: int, length: int) -> int:
        """Make file bytes offset..offset+length available; index of the first in the buffer."""
        index = offset - self.start
        if index >= 0 and index + length <= len(self.buffer):
            return index
        if offset + length > self.size:
            raise self.fail(
                _("cut at byte {selfSize}, inside an element that needs {offset} more").format(
                    selfSize=self.size, offset=offset + length - self.size
                )
            )
        os.lseek(self.descriptor, offset, os.SEEK_SET)
        self.buffer = os.read(self.descriptor, max(length, FIRST_READ))
        self.start = offset
        if len(self.buffer) < length:
            raise self.fail(_("could not be read to its end"))
        return 0

    def read(self) -> dict[str, str | float]:
        found: dict[str, str | float] = {}
        offset = 0
        syntax = ""
        if self.buffer[128:132] == b"DICM":
            offset, syntax = self.readMeta(132, found)
        elif not self.looksLikeDicom():
            raise self.fail(_("is no DICOM file"))
        if syntax == DEFLATED:
            return self.readDeflated()
        order = ">" if syntax == EXPLICIT_BIG else "<"
        explicit = syntax != IMPLICIT_LITTLE if syntax else self.buffer[offset + 4 : offset + 6] in SHORT_VRS | LONG_VRS
        self.readElements(offset, order, explicit, found)
        if not any(name in found for name in ("sopClassUid", "mediaSopClassUid", "modality", "studyUid")):
            raise self.fail(_("is no DICOM file, or has none of the elements that name a study"))
        return found

    def looksLikeDicom(self) -> bool:
        """A file without preamble starts with an element of group 0008 (or 0002)."""
        return len(self.buffer) >= 8 and self.buffer[0:2] in (b"\x08\x00", b"\x02\x00") and self.buffer[3] == 0

    def readMeta(self, offset: int, found: dict[str, str | float]) -> tuple[int, str]:
        """File meta information (group 0002, always explicit little endian)."""
        while offset + 8 <= self.size:
            index = self.need(offset, 8)
            group, element, vr, length = struct.unpack_from("<HH2sH", self.buffer, index)
            if group != 2:
                break
            offset += 8
            if vr in LONG_VRS:
                (length,) = struct.unpack_from("<L", self.buffer, self.need(offset, 4))
                offset += 4
            name = {0x10: "transferSyntax", 0x02: "mediaSopClassUid", 0x03: "mediaSopInstanceUid"}.get(element)
            if name is not None:
                index = self.need(offset, length)
                found[name] = self.buffer[index : index + length].decode("ascii", "replace").strip("\0 ")
            offset += length
        return offset, str(found.get("transferSyntax", ""))

    def readElements(self, offset: int, order: str, explicit: bool, found: dict[str, str | float]) -> None:
        raw: dict[int, bytes] = {}
        unpackTag = struct.Struct(order + "HH").unpack_from
        unpackShort = struct.Struct(order + "H").unpack_from
        unpackLong = struct.Struct(order + "L").unpack_from
        size = self.size
        wanted = _WANTED
        while offset < size:
            if size - offset < 8:
                raise self.fail(_("cut at byte {size}, inside an element header").format(size=size))
            index = offset - self.start
            if index + 12 > len(self.buffer):
                index = self.need(offset, min(12, size - offset))
            group, element = unpackTag(self.buffer, index)
            tag = (group << 16) | element
            if tag > LAST_TAG:
                break
            vr = b""
            if explicit:
                vr = self.buffer[index + 4 : index + 6]
                if vr in LONG_VRS:
                    if len(self.buffer) - index < 12:
                        raise self.fail(_("cut at byte {size}, inside an element header").format(size=size))
                    (length,) = unpackLong(self.buffer, index + 8)
                    offset += 12
                elif vr in SHORT_VRS:
                    (length,) = unpackShort(self.buffer, index + 6)
                    offset += 8
                else:
                    raise self.fail(
                        _("damaged near byte {offset}: element ({group:04X},{element:04X}) has no known value representation").format(
                            offset=offset, group=group, element=element
                        )
                    )
            else:
                (length,) = unpackLong(self.buffer, index + 4)
                offset += 8
            if length == UNDEFINED:
                offset = self.skipSequence(offset, order, explicit and vr != b"UN", 0)
                continue
            if tag in wanted:
                index = offset - self.start
                if index + length > len(self.buffer):
                    index = self.need(offset, length)
                raw[tag] = self.buffer[index : index + length]
            elif offset + length > size:
                raise self.fail(
                    _("cut at byte {size}, inside element ({group:04X},{element:04X})").format(size=size, group=group, element=element)
                )
            offset += length
        else:
            # Every kind of instance has content beyond the wanted elements: the end of the file here is a cut between two of them.
            raise self.fail(_("cut at byte {size}, before its content").format(size=size))
        self.decode(raw, order, found)

    def skipSequence(self, offset: int, order: str, explicit: bool, depth: int) -> int:
        """Offset after a sequence (or fragments) of undefined length."""
        if depth > 30:
            raise self.fail(_("sequences are nested more than 30 deep: damaged"))
        while True:
            index = self.need(offset, 8)
            group, element, length = struct.unpack_from(order + "HHL", self.buffer, index)
            offset += 8
            if group == 0xFFFE and element == 0xE0DD:
                return offset
            if group != 0xFFFE or element != 0xE000:
                raise self.fail(_("damaged near byte {offset}: an item was expected").format(offset=offset))
            offset = self.skipItem(offset, order, explicit, depth) if length == UNDEFINED else offset + length

    def skipItem(self, offset: int, order: str, explicit: bool, depth: int) -> int:
        while True:
            index = self.need(offset, 8)
            group, element = struct.unpack_from(order + "HH", self.buffer, index)
            if group == 0xFFFE and element == 0xE00D:
                return offset + 8
            vr = self.buffer[index + 4 : index + 6]
            if explicit and vr in LONG_VRS:
                (length,) = struct.unpack_from(order + "L", self.buffer, self.need(offset + 8, 4))
                offset += 12
            elif explicit and vr in SHORT_VRS:
                (length,) = struct.unpack_from(order + "H", self.buffer, index + 6)
                offset += 8
            else:
                (length,) = struct.unpack_from(order + "L", self.buffer, index + 4)
                offset += 8
            if length == UNDEFINED:
                offset = self.skipSequence(offset, order, explicit and vr != b"UN", depth + 1)
            else:
                offset += length

    def decode(self, raw: dict[int, bytes], order: str, found: dict[str, str | float]) -> None:
        for tag, name in DOUBLE_TAGS.items():
            data = raw.pop(tag, b"")
            if len(data) >= 8:
                found[name] = struct.unpack_from(order + "d", data)[0]
        for tag, data in raw.items():
            if not data:
                continue
            if data.isascii() and b"\x1b" not in data:  # ISO 2022 switches alphabets by escapes in ASCII
                text = data.decode("ascii").strip("\0 ")
            else:
                text = decodeText(data, raw.get(0x00080005, b""))
            if text:
                found[TEXT_TAGS[tag]] = text

    def readDeflated(self) -> dict[str, str | float]:
        """pydicom inflates the rest of the file."""
        import pydicom

        try:
            return headerValuesFrom(pydicom.dcmread(self.name, stop_before_pixels=True, specific_tags=list(_WANTED)))
        except Exception as error:
            raise self.fail(_("deflated file can't be read: {error}").format(error=error)) from error


_WANTED = frozenset(TEXT_TAGS) | frozenset(DOUBLE_TAGS)


def decodeText(data: bytes, characterSet: bytes) -> str:
    """Text of a value outside ASCII, by the Specific Character Set of the file."""
    from pydicom.charset import convert_encodings, decode_bytes

    names = [part.strip() for part in characterSet.decode("ascii", "replace").strip("\0 ").split("\\")]
    try:
        return str(decode_bytes(data, convert_encodings(names), {0x5C, 0x5E, 0x3D})).strip("\0 ")
    except (LookupError, UnicodeDecodeError):
        return data.decode("latin-1").strip("\0 ")


def headerValuesFrom(dataset: object) -> dict[str, str | float]:
    """The same values from a pydicom data set (network, Slicer's database, deflated files)."""
    found: dict[str, str | float] = {}
    for tag, name in TEXT_TAGS.items():
        element = dataset.get(tag)  # type: ignore[attr-defined]
        if element is None or element.value is None:
            continue
        value = element.value
        many = not isinstance(value, str) and hasattr(value, "__iter__") and not hasattr(value, "components")
        text = "\\".join(str(part) for part in value) if many else str(value)
        if text.strip("\0 "):
            found[name] = text.strip("\0 ")
    for tag, name in DOUBLE_TAGS.items():
        element = dataset.get(tag)  # type: ignore[attr-defined]
        if element is not None and element.value is not None and element.value != "":
            first = element.value[0] if hasattr(element.value, "__iter__") else element.value
            found[name] = float(first)
    meta = getattr(dataset, "file_meta", None)
    if meta is not None:
        names = (("transferSyntax", "TransferSyntaxUID"), ("mediaSopClassUid", "MediaStorageSOPClassUID"))
        for name, keyword in (*names, ("mediaSopInstanceUid", "MediaStorageSOPInstanceUID")):
            if meta.get(keyword):
                found[name] = str(meta.get(keyword))
    return found
