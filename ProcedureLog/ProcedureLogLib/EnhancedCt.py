"""Enhanced (multi-frame) CT: what classic CT keeps at the top of the header lies in functional groups there (PS3.3 A.38)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from TranslatedText.Translation import tr as _

from .DicomHeader import DamagedDicom, DicomHeader

ENHANCED_CLASSES = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
NUMBERS = {"ctdiVol": ("CTExposureSequence", "CTDIvol"), "pitch": ("CTTableDynamicsSequence", "SpiralPitchFactor")}
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


def isEnhanced(header: DicomHeader) -> bool:
    return header.sopClassUid in ENHANCED_CLASSES


def withFunctionalGroups(header: DicomHeader) -> DicomHeader:
    """The header with acquisition type, pitch, CTDIvol, irradiation events and the covered positions of its frames.

    Reads the file again through pydicom. Raises DamagedDicom when that fails.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(header.path, stop_before_pixels=True)
        groups = [item for name in GROUPS for item in dataset.get(name) or ()]
        values = dict(header.values)
        values.update(_found(groups))
    except Exception as error:
        raise DamagedDicom(_("{path}: the functional groups can't be read: {error}").format(path=header.path, error=error)) from error
    return replace(header, values=values)


def _found(groups: list[Any]) -> dict[str, str | float]:
    values: dict[str, str | float] = {}
    kinds = _texts(groups, "CTAcquisitionTypeSequence", "AcquisitionType")
    if kinds:
        values["acquisitionType"] = kinds[0]
    events = _texts(groups, "IrradiationEventIdentificationSequence", "IrradiationEventUID")
    if events:
        values["irradiationEventUid"] = "\\".join(dict.fromkeys(events))
    for name, (sequence, keyword) in NUMBERS.items():
        numbers = [float(text) for text in _texts(groups, sequence, keyword)]
        if numbers:
            values[name] = sum(numbers) / len(numbers)
    positions = _values(groups, "PlanePositionSequence", "ImagePositionPatient")
    places = sorted(float(position[2]) for position in positions if len(position) == 3)
    thicknesses = _texts(groups, "PixelMeasuresSequence", "SliceThickness")
    if places:
        one = float(thicknesses[0]) if thicknesses else 0.0
        values["sliceLocation"] = f"{places[0]:g}"
        values["sliceThickness"] = f"{places[-1] - places[0] + one:g}"  # the whole stack is one slab
    times = sorted(_texts(groups, "FrameContentSequence", "FrameAcquisitionDateTime"))
    if times:
        values["acquisitionDateTime"] = times[0]
    return values


def _values(groups: list[Any], sequence: str, keyword: str) -> list[Any]:
    return [item.get(keyword) for group in groups for item in group.get(sequence) or () if item.get(keyword) not in (None, "")]


def _texts(groups: list[Any], sequence: str, keyword: str) -> list[str]:
    found: list[str] = []
    for value in _values(groups, sequence, keyword):
        many = hasattr(value, "append") and not isinstance(value, str)
        found += [str(each) for each in value] if many else [str(value)]
    return found
