"""Annotations of parameter types: the value ranges and defaults a parameter node checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


class Validator:
    """Base of all checks; `validate` raises ValueError when a value isn't allowed."""

    def isAllowed(self, value: Any) -> bool:
        raise NotImplementedError

    def validate(self, value: Any) -> None:
        if not self.isAllowed(value):
            raise ValueError(f"the value {value!r} isn't allowed by {self}")


@dataclasses.dataclass
class WithinRange(Validator):
    minimum: float
    maximum: float

    def isAllowed(self, value: Any) -> bool:
        return self.minimum <= value <= self.maximum


@dataclasses.dataclass
class Minimum(Validator):
    minimum: float

    def isAllowed(self, value: Any) -> bool:
        return value >= self.minimum


@dataclasses.dataclass
class Maximum(Validator):
    maximum: float

    def isAllowed(self, value: Any) -> bool:
        return value <= self.maximum


@dataclasses.dataclass
class Choice(Validator):
    choices: Sequence[Any]

    def isAllowed(self, value: Any) -> bool:
        return value in self.choices


@dataclasses.dataclass
class NotNone(Validator):
    def isAllowed(self, value: Any) -> bool:
        return value is not None


@dataclasses.dataclass
class Default:
    """The first value of a parameter that the node doesn't hold yet."""

    value: Any


@dataclasses.dataclass
class Decimals:
    value: int


@dataclasses.dataclass
class SingleStep:
    value: float
