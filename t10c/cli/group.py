"""Groups of commands that know what a mistyped command was meant to be, and help with examples."""

import click


class HelpfulGroup(click.Group):
    """A group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; UsageError with a suggestion if there is none."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from t10c.suggest import did_you_mean

            known = self.list_commands(ctx)
            hint = did_you_mean(args[0], known) or f" (there are {', '.join(known)})"
            raise click.UsageError(f"no such command '{args[0]}'{hint}", ctx)
        return super().resolve_command(ctx, args)


def examples(*commands: str) -> str:
    """The end of a help text: commands to copy."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
