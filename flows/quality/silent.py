"""SILENT RULES: those that have nothing to say of some rows, since what they read was hidden or is not at hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from contracts.model import Contract
from contracts.vocabulary import RuleStage
from flows.cut.partitions import ParticipantExtract, treated
from flows.cut.records import TreatedColumns
from flows.cut.workspace import Workspace
from transforms.quality.lookups import OF_EXTRACTS, columns_behind


def silent_rules(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], tables: Collection[str]
) -> dict[str, dict[str, set[str]]]:
    """Return extract -> participant -> ids of rules that are not judged here.

    A rule is silent where a column it reads was suppressed, generalised or replaced in a submission pack, whose sender
    judged it already; over all rows of an extract where that column is one of another extract in which it looks its
    rows up, or where that extract derives it from a table that is not at hand.

    Args:
        tables: names of the tables at hand.
    """
    hidden = treated(workspace, extracts)
    anywhere = {(extract, c) for extract, senders in hidden.items() for columns in senders.values() for c in columns}
    anywhere |= _not_derived(workspace.contracts, tables)
    if not anywhere and not any(stated_rules(workspace, h) for h in extracts):
        return {}
    found: dict[str, dict[str, set[str]]] = {}
    for h in extracts:
        mine = {("", column) for column in hidden.get(h.extract, {}).get(h.participant, ())}
        rules = workspace.contracts[h.extract].rules_at(RuleStage.QUALITY)
        silent = {r.id for r in rules if columns_behind(workspace.contracts, h.extract, r) & (mine | anywhere)}
        silent |= stated_rules(workspace, h)
        found.setdefault(h.extract, {})[h.participant] = silent
    return found


def stated_rules(workspace: Workspace, source: ParticipantExtract) -> set[str]:
    """Return the rules of intake that a source's sender judged, and nobody can here."""
    record = workspace.recorded(TreatedColumns, source.participant, source.extract)
    return set(record.stated) if record else set()


def by_its_sender(workspace: Workspace, source: ParticipantExtract) -> set[str]:
    """Return the rules that are its sender's word: of intake, and those that read columns that it hid or changed."""
    record = workspace.recorded(TreatedColumns, source.participant, source.extract)
    if record is None:
        return set()
    contract, hidden = workspace.contracts[source.extract], {("", column) for column in record.columns}
    rules = contract.rules_at(RuleStage.QUALITY)
    return {*record.stated, *(r.id for r in rules if columns_behind(workspace.contracts, source.extract, r) & hidden)}


def _not_derived(contracts: Mapping[str, Contract], tables: Collection[str]) -> set[tuple[str, str]]:
    """Return the columns that an extract derives from a table of reference data that is not at hand."""
    return {
        (contract.extract, derived.name)
        for contract in contracts.values()
        for derived in contract.derived
        if derived.table and derived.table.partition(":")[0] not in OF_EXTRACTS and derived.table not in tables
    }
