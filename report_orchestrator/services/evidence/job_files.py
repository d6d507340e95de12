"""Find the files that another system kept of its jobs, and the payload that it sent for each."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator

from report_orchestrator.domain.payload import Payload
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.ports import FileFolder, FolderFile, RecordedJob

MAX_FILES = 100_000
MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
"""A larger file is a result: no payload comes near it."""

_PART = re.compile(r"[0-9a-z]+")
_JOINED = re.compile(r"[0-9a-z]+(?:-[0-9a-z]+)*")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_JOB = re.compile(r"(?<![a-z])job[ _-]?(?:id)?[ _=-]?(?=[0-9a-z])")
_DIGIT = re.compile(r"[0-9]")


class JobFiles:
    """The other system's files by the Fireant job IDs in their names.

    A name belongs to the job whose ID stands directly behind the word `job` or `job_id`. Without that word, it belongs to a
    job whose ID it holds together with the key of the job's report, in its folders or itself, or whose ID is its only number.
    """

    def __init__(self, folder: FileFolder) -> None:
        """Raise `NotPossibleError` for a folder of too many files, and the errors of `folder`."""
        self._folder = folder
        self._files: dict[str, list[FolderFile]] = defaultdict(list)
        files = folder.files(MAX_FILES + 1)
        if len(files) > MAX_FILES:
            raise NotPossibleError(f"The folder has more than {MAX_FILES:,} files. Give a smaller one.")
        for file in sorted(files, key=lambda file: file.path):
            name = _stem(file)
            for word in _ids(name).union(*_ids_behind_job(name)):
                self._files[word].append(file)

    def payload_of(self, job: RecordedJob) -> tuple[Payload | None, str]:
        """Return the payload that was sent for a job, or None, and a note if it has no file, or several payloads."""
        files = [file for file in self._files.get(job.fireant_job_id.lower(), []) if _belongs_to(file, job)]
        if not files:
            return None, "no file of the job"
        broken: list[str] = []
        payloads = list(self._payloads(files, broken))
        if any(payload != payloads[0][1] for _path, payload in payloads):
            return None, f"the job has {len(payloads)} payloads that differ: {', '.join(path for path, _p in payloads)}"
        return payloads[0][1] if payloads else None, f"no valid JSON: {', '.join(broken)}" if broken else ""

    def _payloads(self, files: list[FolderFile], broken: list[str]) -> Iterator[tuple[str, Payload]]:
        for file in files:
            if not file.path.lower().endswith(".json") or file.size > MAX_PAYLOAD_BYTES:
                continue
            try:
                content = json.loads(self._folder.read(file))
            except (ValueError, RecursionError):
                broken.append(file.path)
                continue
            if isinstance(content, dict) and "meta" in content:
                yield file.path, content


def _stem(file: FolderFile) -> str:
    name = file.path.rpartition("/")[2].lower()
    return name.rpartition(".")[0] or name


def _ids(text: str) -> set[str]:
    """Return everything in a lower-case text that may be an ID: words with and without their hyphens, and UUIDs."""
    return {*_PART.findall(text), *_JOINED.findall(text), *_UUID.findall(text)}


def _belongs_to(file: FolderFile, job: RecordedJob) -> bool:
    name, job_id = _stem(file), job.fireant_job_id.lower()
    if stated := _ids_behind_job(name):
        return any(job_id in ids for ids in stated)
    rest = _without(job_id, name)
    others = _ids(f"{file.path.lower().rpartition('/')[0]} {rest}")
    return job.report_key.lower() in others or not _DIGIT.search(rest)


def _without(word: str, name: str) -> str:
    """Return a name without the first place at which the word stands by itself."""
    start = name.find(word)
    while start >= 0:
        before, after = name[:start], name[start + len(word) :]
        if not before[-1:].isalnum() and not after[:1].isalnum():
            return f"{before} {after}"
        start = name.find(word, start + 1)
    return name


def _ids_behind_job(name: str) -> list[set[str]]:
    """Return what may be the ID behind each `job`; other words than IDs, such as `job_result`, have no digit."""
    behind = (_first_ids(name[found.end() :]) for found in _JOB.finditer(name))
    return [ids for ids in behind if any(map(_DIGIT.search, ids))]


def _first_ids(text: str) -> set[str]:
    """Return what may be the ID at the beginning of a text."""
    found = (pattern.match(text) for pattern in (_PART, _JOINED, _UUID))
    return {match.group() for match in found if match is not None}
