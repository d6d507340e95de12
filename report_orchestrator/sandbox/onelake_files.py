"""The local lake's one item: folders and files, of which a reader sees only what was flushed.

Content lies on disk, one file each, so that a result may be far larger than memory; names and conditions lie in memory.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn

from report_orchestrator.sandbox.onelake_faults import LakeRefusedError

MANAGED = ("Files", "Tables")
"""The first level of a lakehouse, which Fabric keeps to itself."""
READ_BYTES = 64 * 1024
FIRST_ETAG = 0x8DC0000000000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A folder or a file as a reader sees it. `size` counts flushed bytes; `content` is where a file's bytes are."""

    is_folder: bool = False
    size: int = 0
    etag: str
    modified_at: datetime
    content: Path | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """A request's `If-Match` and `If-None-Match`, empty where it has none."""

    if_match: str = ""
    if_none_match: str = ""

    def check(self, entry: Entry | None) -> None:
        """Refuses a write that the conditions forbid."""
        if entry is not None and self.if_none_match == "*":
            raise LakeRefusedError(
                HTTPStatus.CONFLICT, "PathAlreadyExists", "The specified path already exists."
            )
        if self.if_match and (entry is None or self.if_match not in {"*", entry.etag}):
            _refuse_condition()
        if entry is not None and self.if_none_match == entry.etag:
            _refuse_condition()

    def check_read(self, entry: Entry) -> None:
        """Refuses a read that the conditions forbid, or make needless."""
        if self.if_none_match in {"*", entry.etag}:
            raise LakeRefusedError(
                HTTPStatus.NOT_MODIFIED, "ConditionNotMet", "It has not changed.", {"Etag": entry.etag}
            )
        if self.if_match and self.if_match not in {"*", entry.etag}:
            _refuse_condition()


class LakeFiles:
    """Everything below one item. Paths are relative to it, such as `Files/results/1.json`. Safe in many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._entries: dict[str, Entry] = {}
        self._appended: dict[Path, dict[int, int]] = {}
        self.clear()

    def clear(self) -> None:
        """Forgets every file and folder but the managed ones."""
        with self._lock:
            for entry in self._entries.values():
                self._drop(entry)
            self._appended.clear()
            self._entries = {name: self._new_entry(is_folder=True) for name in ("", *MANAGED)}

    def find(self, path: str) -> Entry:
        """What stands at the path."""
        with self._lock:
            entry = self._entries.get(path)
        if entry is None:
            raise LakeRefusedError(HTTPStatus.NOT_FOUND, "PathNotFound", "The specified path does not exist.")
        return entry

    def has(self, path: str) -> bool:
        """Whether anything stands at the path."""
        with self._lock:
            return path in self._entries

    def below(self, path: str, *, recursive: bool) -> list[tuple[str, Entry]]:
        """What stands below a folder, by name."""
        with self._lock:
            self.find(path)
            prefix = f"{path}/" if path else ""
            found = [
                (name, entry)
                for name, entry in self._entries.items()
                if name.startswith(prefix) and name != path and (recursive or "/" not in name[len(prefix) :])
            ]
        return sorted(found)

    def create(self, path: str, *, is_folder: bool, conditions: Conditions) -> Entry:
        """Makes an empty file or a folder, and the folders above it. Without a condition a file is emptied."""
        with self._lock:
            self._refuse_managed(path)
            standing = self._entries.get(path)
            conditions.check(standing)
            if standing is not None and standing.is_folder != is_folder:
                raise LakeRefusedError(
                    HTTPStatus.CONFLICT, "ResourceTypeMismatch", "A file and a folder cannot share a path."
                )
            if standing is not None and is_folder:
                return standing
            self._make_parents(path)
            return self._put(path, self._new_entry(is_folder=is_folder))

    def put(self, path: str, pieces: Iterable[bytes], conditions: Conditions) -> Entry:
        """Makes a file of these bytes at once, as the Blob service does; without a condition in place of another."""
        with self._lock:
            self._refuse_managed(path)
            standing = self._entries.get(path)
            conditions.check(standing)
            if standing is not None and standing.is_folder:
                raise LakeRefusedError(
                    HTTPStatus.CONFLICT, "ResourceTypeMismatch", "A file and a folder cannot share a path."
                )
            self._make_parents(path)
            entry = self._new_entry(is_folder=False)
            with _content(entry).open("wb") as file:
                file.writelines(pieces)
                size = file.tell()
            return self._put(path, replace(entry, size=size))

    def append(self, path: str, position: int, piece: bytes) -> None:
        """Adds bytes that nobody sees until a flush. The same position again replaces what was there."""
        with self._lock:
            entry = self._file(path)
            content = _content(entry)
            if position < entry.size:
                _refuse_position()
            with content.open("r+b") as file:
                file.seek(position)
                file.write(piece)
            self._appended.setdefault(content, {})[position] = len(piece)

    def flush(self, path: str, position: int, conditions: Conditions) -> Entry:
        """Shows what was appended up to `position`, and drops the rest without a word."""
        with self._lock:
            entry = self._file(path)
            conditions.check(entry)
            content = _content(entry)
            if position > self._contiguous(entry):
                _refuse_position()
            with content.open("r+b") as file:
                file.truncate(position)
            self._appended.pop(content, None)
            return self._put(path, self._changed(replace(entry, size=position)))

    def rename(
        self, source: str, target: str, *, source_conditions: Conditions, conditions: Conditions
    ) -> None:
        """Moves a file, or a folder with all in it. Its ETag goes with it. Without a condition a file is overwritten."""
        with self._lock:
            self._refuse_managed(source)
            self._refuse_managed(target)
            moved = self._entries.get(source)
            if moved is None:
                raise LakeRefusedError(
                    HTTPStatus.NOT_FOUND, "SourcePathNotFound", "The source path does not exist."
                )
            source_conditions.check(moved)
            self._refuse_orphan(target)
            standing = self._entries.get(target)
            conditions.check(standing)
            if standing is not None and standing.is_folder:
                raise LakeRefusedError(HTTPStatus.CONFLICT, "PathAlreadyExists", "A folder stands there.")
            self._move(source, target)

    def delete(self, path: str, *, recursive: bool, conditions: Conditions) -> None:
        """Removes a file, or a folder, which must be empty unless `recursive`."""
        with self._lock:
            self._refuse_managed(path)
            conditions.check(self.find(path))
            names = [path, *(name for name, _entry in self.below(path, recursive=True))]
            if len(names) > 1 and not recursive:
                raise LakeRefusedError(
                    HTTPStatus.CONFLICT,
                    "DirectoryNotEmpty",
                    "A folder that is not empty needs recursive=true.",
                )
            for name in names:
                self._drop(self._entries.pop(name))

    def chunks(self, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """A file's flushed bytes from `start` to before `end`. A folder is refused at once."""
        return _chunks(_content(entry), start, end)

    def _file(self, path: str) -> Entry:
        entry = self.find(path)
        if entry.is_folder:
            raise LakeRefusedError(HTTPStatus.CONFLICT, "ResourceTypeMismatch", "A folder holds no bytes.")
        return entry

    def _contiguous(self, entry: Entry) -> int:
        end = entry.size
        for position, length in sorted(self._appended.get(_content(entry), {}).items()):
            if position > end:
                break
            end = max(end, position + length)
        return end

    def _refuse_managed(self, path: str) -> None:
        if path.partition("/")[0] not in MANAGED or path in MANAGED:
            raise LakeRefusedError(
                HTTPStatus.FORBIDDEN,
                "OperationNotAllowedOnThePath",
                "Fabric manages workspaces, items and the first level below an item. Write below Files or Tables.",
            )

    def _refuse_orphan(self, path: str) -> None:
        parent = self._entries.get(path.rpartition("/")[0])
        if parent is None or not parent.is_folder:
            raise LakeRefusedError(
                HTTPStatus.NOT_FOUND,
                "RenameDestinationParentPathNotFound",
                "The folder above it does not exist.",
            )

    def _make_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        standing = self._entries.get(parent)
        if standing is None:
            self._make_parents(parent)
            self._entries[parent] = self._new_entry(is_folder=True)
        elif not standing.is_folder:
            raise LakeRefusedError(
                HTTPStatus.CONFLICT, "ResourceTypeMismatch", "A file has nothing below it."
            )

    def _new_entry(self, *, is_folder: bool) -> Entry:
        number = next(self._numbers)
        content = None if is_folder else self._folder / f"{number}.content"
        if content is not None:
            content.touch()
        return self._changed(
            Entry(is_folder=is_folder, content=content, etag="", modified_at=datetime.now(UTC))
        )

    def _changed(self, entry: Entry) -> Entry:
        etag = f'"0x{FIRST_ETAG + next(self._numbers):X}"'
        return replace(entry, etag=etag, modified_at=datetime.now(UTC))

    def _put(self, path: str, entry: Entry) -> Entry:
        replaced = self._entries.get(path)
        self._entries[path] = entry
        if replaced is not None and replaced.content != entry.content:
            self._drop(replaced)
        return entry

    def _move(self, source: str, target: str) -> None:
        names = [source, *(name for name, _entry in self.below(source, recursive=True))]
        for name in names:
            self._put(target + name[len(source) :], self._entries.pop(name))

    def _drop(self, entry: Entry) -> None:
        if entry.content is not None:
            self._appended.pop(entry.content, None)
            # Windows keeps a file that is being read; it goes with its folder.
            with suppress(OSError):
                entry.content.unlink(missing_ok=True)


def _chunks(content: Path, start: int, end: int) -> Iterator[bytes]:
    with content.open("rb") as file:
        file.seek(start)
        while piece := file.read(min(READ_BYTES, end - file.tell())):
            yield piece


def _content(entry: Entry) -> Path:
    if entry.content is None:
        raise LakeRefusedError(HTTPStatus.CONFLICT, "ResourceTypeMismatch", "A folder holds no bytes.")
    return entry.content


def _refuse_condition() -> NoReturn:
    raise LakeRefusedError(
        HTTPStatus.PRECONDITION_FAILED,
        "ConditionNotMet",
        "The condition specified in the headers is not met.",
    )


def _refuse_position() -> NoReturn:
    raise LakeRefusedError(
        HTTPStatus.BAD_REQUEST,
        "InvalidFlushPosition",
        "The uploaded data is not contiguous or the position does not equal the length of the data.",
    )
