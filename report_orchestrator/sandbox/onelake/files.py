"""Folders and files of the local lakehouse. Readers see only flushed bytes.

Content is on disk, one file each, since a result may be larger than memory; names and conditions are in memory.
"""

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from report_orchestrator.sandbox.onelake.faults import LakeRefusedError, NotModifiedError

MANAGED = ("Files", "Tables")
"""The first level of a lakehouse, which only Fabric may change."""
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
        if entry is not None and self.if_none_match == "*":
            raise LakeRefusedError("PathAlreadyExists")
        if self.if_match and (entry is None or self.if_match not in {"*", entry.etag}):
            raise LakeRefusedError("ConditionNotMet")
        if entry is not None and self.if_none_match == entry.etag:
            raise LakeRefusedError("ConditionNotMet")

    def check_read(self, entry: Entry) -> None:
        """Raise LakeRefusedError if the conditions forbid a read or the reader has this version."""
        if self.if_none_match in {"*", entry.etag}:
            raise NotModifiedError(entry.etag)
        if self.if_match and self.if_match not in {"*", entry.etag}:
            raise LakeRefusedError("ConditionNotMet")


class LakeFiles:
    """Folders and files of one lakehouse, by paths relative to it: `Files/results/1.json`. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._entries: dict[str, Entry] = {}
        self._appended: dict[Path, dict[int, int]] = {}
        self.clear()

    def clear(self) -> None:
        with self._lock:
            for entry in self._entries.values():
                self._drop(entry)
            self._appended.clear()
            self._entries = {name: self._new_entry(is_folder=True) for name in ("", *MANAGED)}

    def find(self, path: str) -> Entry:
        with self._lock:
            entry = self._entries.get(path)
        if entry is None:
            raise LakeRefusedError("PathNotFound")
        return entry

    def has(self, path: str) -> bool:
        with self._lock:
            return path in self._entries

    def below(self, path: str, *, recursive: bool) -> list[tuple[str, Entry]]:
        with self._lock:
            self.find(path)
            prefix = f"{path}/" if path else ""
            return sorted(
                (name, entry)
                for name, entry in self._entries.items()
                if name.startswith(prefix) and name != path and (recursive or "/" not in name[len(prefix) :])
            )

    def create(self, path: str, *, is_folder: bool, conditions: Conditions) -> Entry:
        """Make an empty file or a folder, and missing parents. Without a condition a file is emptied."""
        with self._lock:
            existing = self._check_target(path, is_folder=is_folder, conditions=conditions)
            if existing is not None and is_folder:
                return existing
            self._make_parents(path)
            return self._put(path, self._new_entry(is_folder=is_folder))

    def put(self, path: str, pieces: Iterable[bytes], conditions: Conditions) -> Entry:
        """Make a file of these bytes at once, as the Blob service does. Without a condition it replaces another."""
        with self._lock:
            self._check_target(path, is_folder=False, conditions=conditions)
            self._make_parents(path)
            entry = self._new_entry(is_folder=False)
            with _content(entry).open("wb") as file:
                file.writelines(pieces)
                size = file.tell()
            return self._put(path, replace(entry, size=size))

    def append(self, path: str, position: int, piece: bytes) -> None:
        """Store bytes that are invisible until a flush. Bytes at the same position are replaced."""
        with self._lock:
            entry = self.find(path)
            content = _content(entry)
            if position < entry.size:
                raise LakeRefusedError("InvalidFlushPosition")
            with content.open("r+b") as file:
                file.seek(position)
                file.write(piece)
            self._appended.setdefault(content, {})[position] = len(piece)

    def flush(self, path: str, position: int, conditions: Conditions) -> Entry:
        """Publish the bytes appended up to `position` and drop the rest silently."""
        with self._lock:
            entry = self.find(path)
            content = _content(entry)
            conditions.check(entry)
            if position > self._contiguous(entry):
                raise LakeRefusedError("InvalidFlushPosition")
            with content.open("r+b") as file:
                file.truncate(position)
            self._appended.pop(content, None)
            return self._put(path, self._changed(replace(entry, size=position)))

    def rename(self, source: str, target: str, *, source_conditions: Conditions, conditions: Conditions) -> None:
        """Move a file or a folder with its content; it keeps its ETag. Without a condition a file is overwritten."""
        with self._lock:
            self._refuse_managed(source)
            self._refuse_managed(target)
            moved = self._entries.get(source)
            if moved is None:
                raise LakeRefusedError("SourcePathNotFound")
            source_conditions.check(moved)
            parent = self._entries.get(target.rpartition("/")[0])
            if parent is None or not parent.is_folder:
                raise LakeRefusedError("RenameDestinationParentPathNotFound")
            existing = self._entries.get(target)
            conditions.check(existing)
            if existing is not None and existing.is_folder:
                raise LakeRefusedError("PathAlreadyExists")
            self._move(source, target)

    def delete(self, path: str, *, recursive: bool, conditions: Conditions) -> None:
        """Remove a file, or a folder, which must be empty unless `recursive`."""
        with self._lock:
            self._refuse_managed(path)
            conditions.check(self.find(path))
            names = [path, *(name for name, _entry in self.below(path, recursive=True))]
            if len(names) > 1 and not recursive:
                raise LakeRefusedError("DirectoryNotEmpty")
            for name in names:
                self._drop(self._entries.pop(name))

    def chunks(self, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """Yield a file's flushed bytes from `start` to before `end`. A folder is refused at once."""
        return _chunks(_content(entry), start, end)

    def _check_target(self, path: str, *, is_folder: bool, conditions: Conditions) -> Entry | None:
        self._refuse_managed(path)
        existing = self._entries.get(path)
        conditions.check(existing)
        if existing is not None and existing.is_folder != is_folder:
            raise LakeRefusedError("ResourceTypeMismatch")
        return existing

    def _contiguous(self, entry: Entry) -> int:
        end = entry.size
        for position, length in sorted(self._appended.get(_content(entry), {}).items()):
            if position > end:
                break
            end = max(end, position + length)
        return end

    def _refuse_managed(self, path: str) -> None:
        if path.partition("/")[0] not in MANAGED or path in MANAGED:
            raise LakeRefusedError("OperationNotAllowedOnThePath")

    def _make_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        existing = self._entries.get(parent)
        if existing is None:
            self._make_parents(parent)
            self._entries[parent] = self._new_entry(is_folder=True)
        elif not existing.is_folder:
            raise LakeRefusedError("ResourceTypeMismatch")

    def _new_entry(self, *, is_folder: bool) -> Entry:
        number = next(self._numbers)
        content = None if is_folder else self._folder / f"{number}.content"
        if content is not None:
            content.touch()
        return self._changed(Entry(is_folder=is_folder, content=content, etag="", modified_at=datetime.now(UTC)))

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
        raise LakeRefusedError("ResourceTypeMismatch")
    return entry.content
