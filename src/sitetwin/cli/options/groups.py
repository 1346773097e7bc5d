"""Groups of options: a command takes one object in place of many parameters.

A group is a frozen dataclass whose fields are annotated as typer reads them::

    @option_group("Run")
    class Run:
        workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1
        resume: Annotated[bool, typer.Option("--resume", help="Go on.")] = False

    @takes_groups
    def trace(scene: SiteName, run: Run) -> None: ...

`takes_groups` gives the command the signature that typer needs, with each field of a group as a parameter of its own.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, TypeVar, dataclass_transform

_TITLE = "__option_group__"
_Group = TypeVar("_Group")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def option_group(title: str) -> Callable[[type[_Group]], type[_Group]]:
    """Make a class a group of options: a frozen dataclass that takes its values by keyword.

    Args:
        title: What stands above its options in the help of commands.
    """

    def make(cls: type[_Group]) -> type[_Group]:
        made = dataclass(frozen=True, kw_only=True)(cls)
        setattr(made, _TITLE, title)
        return made

    return make


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its groups, as parameters of their own, in place of the groups.

    Raises:
        TypeError: Two groups, or a group and the command, have a parameter of the same name.
    """
    parameters: dict[str, inspect.Parameter] = {}
    groups: dict[str, type] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if hasattr(kind, _TITLE):
            groups[parameter.name] = kind
            flat = _parameters(kind)
        else:
            flat = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        for one in flat:
            if one.name in parameters:
                raise TypeError(f"{command.__name__} has the parameter {one.name} twice")
            parameters[one.name] = one

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        made = {name: group(**{f.name: given.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**given, **made)

    del with_options.__wrapped__  # type: ignore[attr-defined]  # typer is to read the signature that stands here
    with_options.__command__ = command  # type: ignore[attr-defined]
    with_options.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    with_options.__annotations__ = {name: one.annotation for name, one in parameters.items()}
    return with_options


def option_names(*groups: type) -> tuple[str, ...]:
    """Names of the parameters of groups."""
    return tuple(field.name for group in groups for field in fields(group))


def _parameters(group: type) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=_titled(hints[field.name], getattr(group, _TITLE)),
        )
        for field in fields(group)
    ]


def _titled(hint: Any, title: str) -> Any:
    """The annotation of an option with the title of its group; other commands may share the option itself."""
    kind, option = typing.get_args(hint)
    option = copy(option)
    option.rich_help_panel = title
    return Annotated[kind, option]
