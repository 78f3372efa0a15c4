"""
Write the tables of options in `docs/cli.md` from the command's own declarations.

    python docs/cli_reference.py          writes the tables
    python docs/cli_reference.py --check  fails where they are out of date
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from enum import EnumType
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from hfasr.cli.app import app, transcribe
from hfasr.cli.listen import listen

PAGE = Path(__file__).with_name("cli.md")
BEGIN, END = "<!-- {}: made by docs/cli_reference.py -->\n", "<!-- end -->\n"


def table(function: Callable[..., None]) -> str:
    """Return the arguments of a command as a table, in the order of its help."""
    command: Any = typer.main.get_command(app)  # its class depends on typer's version
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function).parameters
    rows = ["| option | values | default | meaning |", "|---|---|---|---|"]
    for parameter in command.commands[function.__name__].params:
        if parameter.name not in signature:  # --help
            continue
        every = [*parameter.opts, *parameter.secondary_opts]
        names = ", ".join(f"`{name}`" for name in every) if parameter.param_type_name == "option" else "inputs"
        default = signature[parameter.name].default
        shown = f"`{default}`" if default not in {None, False, inspect.Parameter.empty} else ""
        rows.append(f"| {names} | {values(hints[parameter.name])} | {shown} | {parameter.help} |")
    return "\n".join(rows) + "\n"


def values(annotated: Any) -> str:
    """Return in words what an option takes, from its type and what typer is told of it."""
    hint, declared = get_args(annotated)
    while get_origin(hint) is not None and get_origin(hint) is not Literal:  # Optional, list
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal or isinstance(hint, EnumType):
        return ", ".join(f"`{value}`" for value in (get_args(hint) or hint))
    if hint is Path:
        return "folder" if declared.dir_okay else "file"
    return {bool: "", float: "seconds", int: "number"}.get(hint, "text")


def page() -> str:
    """Return the page with the tables of now."""
    text = PAGE.read_text(encoding="utf-8")
    for function in (transcribe, listen):
        begin = BEGIN.format(function.__name__)
        head, rest = text.split(begin)
        text = head + begin + table(function) + END + rest.split(END, maxsplit=1)[1]
    return text


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
    elif page() != PAGE.read_text(encoding="utf-8"):
        sys.exit("docs/cli.md is out of date; run: python docs/cli_reference.py")
