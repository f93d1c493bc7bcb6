"""A group of commands that are imported when somebody asks for them: what one needs must not delay the others."""

from importlib import import_module

import click


class LazyGroup(click.Group):
    """`add_lazily` takes where a command is, as module:name; it is imported when it is called or help is shown."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # click's own
        self._places: dict[str, str] = {}

    def add_lazily(self, name: str, place: str) -> None:
        """Add the command that stands at `place` under this name."""
        self._places[name] = place

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._places})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return super().get_command(ctx, cmd_name)
        module, name = self._places[cmd_name].split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command
