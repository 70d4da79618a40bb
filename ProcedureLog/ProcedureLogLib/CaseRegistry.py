"""All procedures of a study in one SQLite file, ready to be listed, filtered and analysed.

A registry holds a summary line per case; the case folders stay the source and can be read in again. Columns come out as numpy arrays.
"""

from __future__ import annotations

import csv
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

from .ProcedureRecord import recordOf
from .ProcedureStore import DATABASE_FILE, ProcedureStore
from .ProcedureSummary import ALL_COLUMNS, NUMBER_COLUMNS, summaryOf

Filters = Mapping[str, Any]
Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class RefreshReport:
    """What reading case folders into the registry did; failed names each folder that couldn't be read, and why."""

    added: int
    failed: tuple[tuple[str, str], ...]


class CaseRegistry:
    """Open or create a registry file (':memory:' for one that isn't kept). Raises RuntimeError when it can't be opened."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        self.path = str(path)
        try:
            self._connection = sqlite3.connect(self.path, timeout=10.0, isolation_level=None)
            if self.path != ":memory:":
                self._connection.execute("PRAGMA journal_mode=WAL")
            columns = ", ".join(f'"{name}" {"REAL" if name in NUMBER_COLUMNS else "TEXT"}' for name in ALL_COLUMNS if name != "caseId")
            self._connection.execute(f'CREATE TABLE IF NOT EXISTS procedures ("caseId" TEXT PRIMARY KEY, {columns}) WITHOUT ROWID')
            present = {row[1] for row in self._connection.execute("PRAGMA table_info(procedures)")}
            for name in (name for name in ALL_COLUMNS if name not in present):  # a registry of an earlier version
                self._connection.execute(f'ALTER TABLE procedures ADD COLUMN "{name}" {"REAL" if name in NUMBER_COLUMNS else "TEXT"}')
            for name in ("group", "operator", "level", "day"):
                self._connection.execute(f'CREATE INDEX IF NOT EXISTS "by_{name}" ON procedures ("{name}")')
        except sqlite3.Error as error:
            raise RuntimeError(_("The registry {path} can't be opened: {error}").format(path=self.path, error=error)) from error

    def addSummaries(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add or replace lines by caseId, in one transaction. Returns how many. Raises ValueError for a line without caseId."""
        names = ", ".join(f'"{name}"' for name in ALL_COLUMNS)
        marks = ", ".join("?" * len(ALL_COLUMNS))
        prepared = [tuple(row.get(name) for name in ALL_COLUMNS) for row in rows]
        if any(not row[0] for row in prepared):
            raise ValueError(_("A line of the registry needs a caseId"))
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(f"INSERT OR REPLACE INTO procedures ({names}) VALUES ({marks})", prepared)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return len(prepared)

    def addCaseFolders(self, root: str | Path, progress: Callable[[int, int], None] | None = None) -> RefreshReport:
        """Read every case folder below root into the registry; a folder that can't be read is named and skipped."""
        folders = sorted(path.parent for path in Path(root).rglob(DATABASE_FILE))
        rows: list[dict[str, Any]] = []
        failed: list[tuple[str, str]] = []
        for number, folder in enumerate(folders, 1):
            try:
                with ProcedureStore(folder) as store:
                    rows.append(summaryOf(recordOf(store), store.caseId))
            except (RuntimeError, ValueError, sqlite3.Error, OSError) as error:
                failed.append((str(folder), str(error)))
            if progress is not None:
                progress(number, len(folders))
        return RefreshReport(self.addSummaries(rows), tuple(failed))

    def count(self, filters: Filters | None = None) -> int:
        where, values = _where(filters)
        return int(self._connection.execute(f"SELECT COUNT(*) FROM procedures{where}", values).fetchone()[0])

    def rows(
        self, filters: Filters | None = None, *, orderBy: str = "day", descending: bool = False, limit: int = 100, offset: int = 0
    ) -> list[dict[str, Any]]:
        """A page of lines. Raises ValueError for an unknown column."""
        where, values = _where(filters)
        order = f' ORDER BY "{_known(orderBy)}" {"DESC" if descending else "ASC"}, "caseId"'
        names = ", ".join(f'"{name}"' for name in ALL_COLUMNS)
        query = f"SELECT {names} FROM procedures{where}{order} LIMIT ? OFFSET ?"
        return [dict(zip(ALL_COLUMNS, row)) for row in self._connection.execute(query, (*values, int(limit), int(offset)))]

    def columns(self, names: Sequence[str], filters: Filters | None = None) -> Columns:
        """Columns as arrays in the order of day and caseId: float with nan for missing, text with '' for missing."""
        where, values = _where(filters)
        wanted = ", ".join(f'"{_known(name)}"' for name in names)
        found = self._connection.execute(f'SELECT {wanted} FROM procedures{where} ORDER BY "day", "caseId"', values).fetchall()
        return columnsOf(names, found)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> CaseRegistry:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()


def columnsOf(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    """Lines turned into arrays: float with nan for missing where the column is a number, else text with '' for missing."""
    parts = list(zip(*rows)) if rows else [()] * len(names)
    columns: Columns = {}
    for name, part in zip(names, parts):
        if name in NUMBER_COLUMNS:
            columns[name] = np.array([math.nan if value in (None, "") else float(value) for value in part], float)
        else:
            columns[name] = np.array(["" if value is None else str(value) for value in part], dtype=np.str_)
    return columns


def _known(name: str) -> str:
    if name not in ALL_COLUMNS:
        raise ValueError(_("The registry has no column '{name}'; it has {names}").format(name=name, names=", ".join(ALL_COLUMNS)))
    return name


def _where(filters: Filters | None) -> tuple[str, tuple[Any, ...]]:
    """SQL of filters: a value (equal), a list (any of), a (low, high) tuple (both included, None open), None (missing)."""
    parts: list[str] = []
    values: list[Any] = []
    for name, wanted in (filters or {}).items():
        column = f'"{_known(name)}"'
        if wanted is None:
            parts.append(f"{column} IS NULL")
        elif isinstance(wanted, tuple):
            low, high = wanted
            if low is not None:
                parts.append(f"{column} >= ?")
                values.append(low)
            if high is not None:
                parts.append(f"{column} <= ?")
                values.append(high)
        elif isinstance(wanted, (list, set, frozenset)):
            parts.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values += list(wanted)
        else:
            parts.append(f"{column} = ?")
            values.append(wanted)
    return (" WHERE " + " AND ".join(parts) if parts else ""), tuple(values)


def readSummaryCsv(path: str | Path) -> list[dict[str, Any]]:
    """Lines of a CSV file with the registry's column names (any subset; 'group' is needed; caseId is numbered where absent).

    Raises ValueError naming line and column of a number that is none, and when columns are unknown or 'group' is missing.
    """
    with open(path, newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        names = reader.fieldnames or []
        unknown = [name for name in names if name not in ALL_COLUMNS]
        if unknown:
            raise ValueError(
                _("{path}: unknown column(s) {names}; known are {columns}").format(
                    path=path, names=", ".join(unknown), columns=", ".join(ALL_COLUMNS)
                )
            )
        if "group" not in names:
            raise ValueError(_("{path}: the column 'group' is missing").format(path=path))
        rows: list[dict[str, Any]] = []
        for number, line in enumerate(reader, 2):
            row: dict[str, Any] = dict.fromkeys(ALL_COLUMNS)
            for name, text in line.items():
                value = (text or "").strip()
                if not value:
                    continue
                try:
                    row[name] = float(value) if name in NUMBER_COLUMNS else value
                except ValueError as error:
                    raise ValueError(
                        _("{path}, line {number}: '{value}' in column '{name}' is no number").format(
                            path=path, number=number, value=value, name=name
                        )
                    ) from error
            row["caseId"] = row["caseId"] or f"line {number:07d}"
            rows.append(row)
    return rows


def writeSummaryCsv(rows: Iterable[Mapping[str, Any]], path: str | Path) -> Path:
    """Write lines as CSV; `readSummaryCsv` gives them back."""
    target = Path(path)
    with open(target, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ALL_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if row.get(name) is None else row.get(name) for name in ALL_COLUMNS})
    return target
