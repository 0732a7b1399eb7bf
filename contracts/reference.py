"""What makes the reference tables: market domain data (``market_domain_data.odcs.yaml``) and code lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.documents.market_data import MapEntry, MarketDataDocument, MatchEntry, PublishedTable
from contracts.load import custom, read_document

DEFINITIONS = Path(__file__).parent / "market_domain_data.odcs.yaml"
# Code lists that rules may look up, and the table of where distribution network operators work.
CODE_LISTS = (
    "gsp_group",
    "profile_class",
    "measurement_class",
    "energisation_status",
    "dcc_service_flag",
    "measurement_quantity",
    "meter_type",
)
TABLE_LISTS = ("dno_gsp_groups",)


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """One reference table.

    Attributes:
        name: the table that rules name.
        file: stem of the published file.
        columns: column -> (header as published, width to pad with zeros to, 0 for none).
        effective_from, effective_to: headers of the dates that bound a row's life; empty where rows have none.
        present: column that must not be empty for a row to count; empty for none.
        own_after: heading of the key that the table's own dates follow.
        refers_to: other table -> columns whose values must stand there.
        optional: whether a publication may come without the file, as most do.
        optional_columns: columns that a publication may come without; they are then null.
        aliases: column -> other headings under which it is published.
        derived: columns made from another one by a map or by patterns, as the file says.
    """

    name: str
    file: str
    columns: Mapping[str, tuple[str, int]]
    effective_from: str = ""
    effective_to: str = ""
    present: str = ""
    own_after: str = ""
    refers_to: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    optional: bool = False
    optional_columns: frozenset[str] = frozenset()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    derived: tuple[MapEntry | MatchEntry, ...] = ()

    def names(self) -> list[str]:
        """Return all columns that the table has in the end; a distributor's MPID brings its id with it."""
        made = [entry.name for entry in self.derived]
        brought = (
            ["distributor_id"] if "distributor_mpid" in self.columns and "distributor_id" not in self.columns else []
        )
        return [*self.columns, *made, *brought]


@cache
def definitions(path: Path = DEFINITIONS) -> Mapping[str, TableDefinition]:
    """Read the definition of each market-domain-data table.

    Raises:
        ContractError: the file is missing, is not YAML, or lacks an entry.
    """
    document, _ = read_document(path, MarketDataDocument)
    found = [_table(entry) for entry in document.tables]
    return MappingProxyType({table.name: table for table in found})


@cache
def published_tables(path: Path = DEFINITIONS) -> tuple[str, ...]:
    """Return the name of every table of the publication, of those too that are not read.

    Raises:
        ContractError: the file is missing, is not YAML, or lacks an entry.
    """
    document, _ = read_document(path, MarketDataDocument)
    return tuple(custom(document.custom_properties).get("published", ()))


def _table(entry: PublishedTable) -> TableDefinition:
    extras = custom(entry.custom_properties)
    columns = {column.name: (column.physical_name, custom(column.custom_properties)) for column in entry.properties}
    return TableDefinition(
        name=entry.name,
        file=entry.physical_name,
        columns=MappingProxyType({name: (head, more.get("width", 0)) for name, (head, more) in columns.items()}),
        effective_from=extras.get("effectiveFrom", ""),
        effective_to=extras.get("effectiveTo", ""),
        present=extras.get("present", ""),
        own_after=extras.get("ownAfter", ""),
        refers_to=MappingProxyType({table: tuple(names) for table, names in extras.get("refersTo", {}).items()}),
        optional=extras.get("optional", False),
        optional_columns=frozenset(name for name, (_, more) in columns.items() if more.get("optional", False)),
        aliases=MappingProxyType(
            {name: tuple(more["aliases"]) for name, (_, more) in columns.items() if "aliases" in more}
        ),
        derived=tuple(extras[kind] for kind in ("map", "match") if kind in extras),
    )


def table_columns() -> dict[str, list[str]]:
    """Return every reference table that rules may look up, with its columns."""
    from contracts.codes import code_table

    tables = {name: definition.names() for name, definition in definitions().items()}
    tables |= {f"codes:{name}": ["code"] for name in CODE_LISTS}
    return tables | {name: list(code_table(name)[0]) for name in TABLE_LISTS}
