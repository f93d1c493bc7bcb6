"""What a group of commands holds, those included that are imported only when somebody asks for them."""

import click


def commands(group: click.Group) -> dict[str, click.Command]:
    """By name, sorted."""
    with click.Context(group) as context:
        found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
