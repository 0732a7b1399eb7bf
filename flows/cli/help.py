"""How help lists subcommands: each with the whole first sentence of its help, the root's by who uses them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

SECTIONS = {
    "First look": ("demo", "sample"),
    "Participants": ("init", "check", "plan", "anonymise", "restore", "key", "pseudonym", "seal", "receipt"),
    "System integrator": (
        "request",
        "status",
        "open",
        "run",
        "attack",
        "ringfence",
        "messages", "expected",
        "serve",
        "deploy",
        "dtc",
    ),
    "Anyone with a pack": ("verify", "approve", "compare", "lineage"),
    "Rules and columns": ("contracts",),
}  # fmt: skip


class WholeSentences(TyperGroup):
    """A group of subcommands, none of whose help is cut short."""

    def sections(self, ctx: Any) -> dict[str, tuple[str, ...]]:
        """Return the subcommands under their headings."""
        return {"Commands": tuple(self.list_commands(ctx))}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the subcommands under their headings."""
        for heading, names in self.sections(ctx).items():
            commands = ((name, self.get_command(ctx, name)) for name in names)
            rows = [(name, command.get_short_help_str(limit=1000)) for name, command in commands if command]
            with formatter.section(heading):
                formatter.write_dl(rows)


class Root(WholeSentences):
    """The root command."""

    def sections(self, ctx: Any) -> dict[str, tuple[str, ...]]:
        """Return the subcommands by who uses them; one that has no place comes last."""
        placed = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in self.list_commands(ctx) if name not in placed)
        return {**SECTIONS, **({"Other": rest} if rest else {})}
