"""Plant a fault in a module's source, for as long as a test lasts."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import pytest


@dataclass(frozen=True)
class Mutant:
    """A module of the package in which a piece of text, which it has once, is replaced."""

    name: str
    module: str
    text: str
    replacement: str

    def plant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace what the module defines, also where other modules of the package have imported it.

        Raises:
            ValueError: the text is not in the module, or more than once.
        """
        module = import_module(f"report_orchestrator.{self.module}")
        source = inspect.getsource(module)
        if source.count(self.text) != 1:
            raise ValueError(
                f"{self.module} does not have this once: {self.text} Adapt the mutant '{self.name}' to it."
            )
        mutated = ModuleType(module.__name__)
        mutated.__file__ = module.__file__
        exec(compile(source.replace(self.text, self.replacement), str(module.__file__), "exec"), vars(mutated))  # noqa: S102
        defined = {
            name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
        }
        for user in [loaded for name, loaded in sys.modules.items() if name.startswith("report_orchestrator.")]:
            for name, value in defined.items():
                if vars(user).get(name) is value:
                    monkeypatch.setattr(user, name, vars(mutated)[name])
