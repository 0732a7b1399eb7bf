"""SILENT RULES: those that have nothing to say of a submission pack, since its sender's policy hid what they read."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.vocabulary import RuleStage
from flows.cut.partitions import ParticipantExtract, treated
from flows.cut.workspace import Workspace
from transforms.quality.lookups import columns_behind


def silent_rules(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> dict[str, dict[str, set[str]]]:
    """Return extract -> participant -> ids of rules that are not judged here: their participant judged them already.

    A rule is silent where a column it reads was suppressed, generalised or replaced in the pack; over all rows of an
    extract where that column is one of another extract in which it looks its rows up.
    """
    hidden = treated(workspace, extracts)
    if not hidden:
        return {}
    anywhere = {(extract, c) for extract, senders in hidden.items() for columns in senders.values() for c in columns}
    found: dict[str, dict[str, set[str]]] = {}
    for h in extracts:
        mine = {("", column) for column in hidden.get(h.extract, {}).get(h.participant, ())}
        rules = workspace.contracts[h.extract].rules_at(RuleStage.QUALITY)
        silent = {r.id for r in rules if columns_behind(workspace.contracts, h.extract, r) & (mine | anywhere)}
        found.setdefault(h.extract, {})[h.participant] = silent
    return found
