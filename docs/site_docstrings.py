"""Teach the site's reference the house form of docstrings."""

from __future__ import annotations

import re
from typing import Any

from griffe import Attribute, Class, ExprName, Extension, Function, GriffeError, Module, Object

EXAMPLE = re.compile(r"^(\s*)Example:$", re.MULTILINE)
VERSION = re.compile(r"^\.\. versionadded:: (\S+)$", re.MULTILINE)


class HouseStyle(Extension):
    """Show ``Example:`` as a session of Python, ``versionadded`` as a sentence, and defaults by their value."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of each object that is read."""
        if obj.docstring is not None:
            text = EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
            obj.docstring.value = VERSION.sub(r"New in \1.", text)

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Show what a default is, where the code has a constant for it: only now are all modules read."""
        show_defaults(pkg)


def show_defaults(scope: Module | Class) -> None:
    """Replace the names of constants in the defaults of every function in *scope*."""
    for member in scope.members.values():
        if member.is_alias:
            continue
        if isinstance(member, Function):
            for parameter in member.parameters:
                if isinstance(parameter.default, ExprName):
                    parameter.default = value_of(parameter.default.name, member.module) or parameter.default
        elif isinstance(member, Module | Class):
            show_defaults(member)


def value_of(name: str, module: Module) -> Any:
    """Return the expression that a module's constant *name* has, or ``None``."""
    try:
        constant = module[name]
        return constant.value if isinstance(constant, Attribute) else constant.final_target.value
    except (GriffeError, KeyError, AttributeError):
        return None
