"""An object whose pickle acts when it is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass
class MakesFolder:
    """An object whose pickle makes a folder when it is read."""

    folder: Path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)
