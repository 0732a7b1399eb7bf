"""The data dictionary: every extract, column and rule in Markdown, generated from the contracts and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from contracts.codes import codes
from contracts.dtc.layout import DtcLayout, group_of
from contracts.load import RESULTS, comparisons, load_all
from contracts.model import Column, Contract, Rule
from contracts.reference import definitions
from contracts.requirements import requirements
from contracts.vocabulary import Classification, Effect, Expectation, Form, Method, RuleStage

HEAD = """\
# Data dictionary

Made by `datacut contracts doc` from `contracts/`: change the contracts, not this page. What each extract holds, what
happens to each column on the way out, and what must be true of every row.

A column that no contract names is dropped at the door and counted. A column whose name is forbidden rejects the file.
"""
FORMS: Mapping[Form, str] = {
    Form.TEXT: "text",
    Form.CODE: "code, upper case",
    Form.DATE: "date (yyyy-mm-dd, dd/mm/yyyy, yyyymmdd)",
    Form.DECIMAL: "decimal",
    Form.INTEGER: "whole number",
    Form.FLAG: "true or false",
    Form.MPAN: "MPAN core",
    Form.METER_SERIAL: "meter serial number",
    Form.ESME_ID: "EUI-64, hex pairs with hyphens",
    Form.UPRN: "up to 12 digits",
    Form.ADDRESS_LINE: "text",
    Form.POSTCODE: "postcode",
}
METHODS: Mapping[Method, str] = {
    Method.KEEP: "passes as it is",
    Method.PSEUDONYMISE: "replaced by its pseudonym, the same in every organisation (scheme 1)",
    Method.TOKEN: "replaced by a keyed token",
    Method.GENERALISE: "made coarser by the rule named",
    Method.SUPPRESS: "the column stays, every value is empty",
    Method.SYNTHETIC: "replaced by an invented series of the same daily total",
    Method.DROP: "does not leave",
    Method.MOVE: "moved by the key, in the order of the metering point's dates",
    Method.VARY: "varied by the key, within its band",
    Method.COMMON: "as it is where so many metering points share it, otherwise one word for all",
    Method.MIX: "mixed among the homes of a group, whose sums stay",
}
CLASSES: Mapping[Classification, str] = {
    Classification.IDENTIFIER: "names a metering point, device or premises by itself",
    Classification.QUASI: "helps to single out together with others",
    Classification.ATTRIBUTE: "describes the settlement configuration",
    Classification.BEHAVIOUR: "consumption and readings",
    Classification.REFERENCE: "market domain data",
}
EFFECTS: Mapping[Effect, str] = {
    Effect.EXCLUDE: "the metering point is excluded from every extract of every participant",
    Effect.WARN: "counted and reported",
    Effect.REJECT: "the whole file is refused",
}


# Checks of domain section 10 that are no rule of an extract, and where they are made.
ELSEWHERE: Mapping[str, str] = {
    "DQ23": "at intake: a forbidden column in a header rejects the file (`forbiddenColumns` of each contract)",
    "DQ25": "at intake: a source that states another cut date is refused",
    "DQ29": "at intake: header, trailer, group count and nesting of a DTC user file; a lie rejects the file",
    "DQ32": "before a pack is published: every file is searched for every raw identifier",
}


def data_dictionary() -> str:
    """Return the whole dictionary as Markdown; equal contracts give equal text."""
    contracts = load_all()
    parts = [HEAD, *_words(), *_contents(contracts), *_numbers(contracts)]
    for contract in contracts.values():
        parts += _extract(contract)
    parts += _results(load_all(RESULTS))
    parts += [*_alignment(), *_market_data(), *_code_lists(contracts)]
    return "\n".join(parts).rstrip() + "\n"


def _words() -> Iterator[str]:
    yield "## Words\n"
    yield from _table(("classification", "means"), [(c.value, text) for c, text in CLASSES.items()])
    yield from _table(("treatment", "what happens"), [(m.value, text) for m, text in METHODS.items()])
    yield from _table(
        ("effect of a rule", "what happens to a row that breaks it"), [(e.value, t) for e, t in EFFECTS.items()]
    )


def _contents(contracts: Mapping[str, Contract]) -> Iterator[str]:
    yield "## Extracts\n"
    rows = [
        (f"[`{c.extract}`](#{c.extract})", c.role, c.row, str(len(c.columns)), str(len(c.rules)), _flows(c))
        for c in contracts.values()
    ]
    yield from _table(("extract", "from", "one row", "columns", "rules", "DTC flows"), rows)


def _numbers(contracts: Mapping[str, Contract]) -> Iterator[str]:
    """Say of each data-quality check where it is made."""
    yield "## Data-quality checks\n"
    places: dict[str, list[str]] = {}
    for contract in [*contracts.values(), *load_all(RESULTS).values()]:
        for rule in contract.rules:
            places.setdefault(rule.reason, []).append(contract.extract)
    coherence = "after augmentation: `coherence` of `augmentation/items.yaml`"
    rows = []
    for number in range(1, 33):
        name = f"DQ{number:02d}"
        counts = [f"{places[name].count(e)} in {e}" for e in dict.fromkeys(places.get(name, ()))]
        told = [f"rules: {', '.join(counts)}"] if counts else []
        told += [ELSEWHERE[name]] if name in ELSEWHERE else []
        told += [coherence] if name == "DQ31" else []
        rows.append((name, _asked()[name], "; ".join(told)))
    yield from _table(("check", "asks", "is made"), rows)


def _asked() -> Mapping[str, str]:
    return {requirement.id: requirement.asks for requirement in requirements()}


def _flows(contract: Contract) -> str:
    return ", ".join(dict.fromkeys(layout.flow for layout in contract.dtc_layouts)) or "-"


def _extract(contract: Contract) -> Iterator[str]:
    yield f"## {contract.extract}\n"
    yield f"{contract.title}, contract version {contract.version}, sent by {contract.role}. One row: {contract.row}\n"
    yield f"Key: {', '.join(f'`{name}`' for name in contract.key)}. Required columns are marked with *.\n"
    yield from _table(
        ("column", "item", "form", "class", "treatment", "meaning", "names in backups"),
        [_column(column) for column in contract.columns],
    )
    yield from _rules(contract)
    for layout in contract.dtc_layouts:
        yield from _layout(layout)


def _column(column: Column) -> tuple[str, ...]:
    form = FORMS[column.form]
    if width := column.options.get("width"):
        form += f", {width} characters"
    if (scale := column.options.get("scale")) is not None:
        form += f", {scale} decimal{'' if scale == 1 else 's'}"
    if (least := column.options.get("least")) is not None:
        form += f", at least {least:,}"
    if (most := column.options.get("most")) is not None:
        form += f", at most {most:,}"
    names = ", ".join(dict.fromkeys(n for n in column.physical_names if n.lower() != column.name))
    name = f"`{column.name}`{' *' if column.required else ''}"
    return name, column.item, form, column.classification.value, column.treatment.describe(), column.description, names


def _rules(contract: Contract) -> Iterator[str]:
    yield f"### Rules of {contract.extract}\n"
    yield "In the order in which they are judged: the first excluding one that a row breaks is its first cause.\n"
    yield from _table(("rule", "effect", "basis", "says", "is judged"), [_rule(rule) for rule in contract.rules])


def _rule(rule: Rule) -> tuple[str, ...]:
    words = ["at intake" if rule.stage is RuleStage.INTAKE else "on pseudonyms"]
    if rule.carried:
        words.append(f"where the source carries `{rule.carried}`")
    if condition := rule.kwargs.get("row_condition"):
        words.append(f"for rows with `{condition}`")
    if rule.expectation == Expectation.IN_REFERENCE:
        words.append(f"against `{rule.kwargs['table']}`")
    if rule.unless:
        words.append(f"unless {', '.join(rule.unless)}")
    return f"`{rule.id}`", rule.effect.value, ", ".join(rule.basis), rule.description, "; ".join(words)


def _layout(layout: DtcLayout) -> Iterator[str]:
    yield f"### {layout.label}: a row for each record of group {layout.row_group}\n"
    rows: list[tuple[str, ...]] = [(f"`{column}`", _place(layout, *place)) for column, place in layout.fields.items()]
    rows += [(f"`{column}`", f"always `{value}`") for column, value in layout.constants.items()]
    rows += [(f"`{column}`", f"{what} of the header") for column, what in layout.header.items()]
    if fold := layout.fold:
        first_to_last = f"`{fold.columns[0]}` to `{fold.columns[-1]}`"
        rows.append((first_to_last, f"each {_place(layout, fold.group, fold.position)}"))
        rows.append((f"`{fold.flag_column}`", f"each {_place(layout, fold.group, fold.flag_position)}"))
    yield from _table(("column", "found in"), rows)


def _place(layout: DtcLayout, group: str, position: int) -> str:
    known = group_of(layout, group)
    item = f"{known.items[position - 1].item} {known.items[position - 1].name}, " if known is not None else ""
    latest = ", of the record that holds on the cut date" if group in layout.latest else ""
    return f"{item}group {group}, field {position}{latest}"


def _results(contracts: Mapping[str, Contract]) -> Iterator[str]:
    yield "## After augmentation\n"
    yield "Rules over what the product made, judged once every item and association is there.\n"
    for contract in contracts.values():
        yield from _rules(contract)


def _alignment() -> Iterator[str]:
    yield "## Alignment of participants\n"
    yield "The registration against every other extract (Q74, Q78, Q83): the share that may differ.\n"
    rows: list[tuple[str, ...]] = []
    for spec in comparisons():
        rows += [
            (spec.right, f"`{name}`", f"`{i.column}`", f"{i.tolerance.share:.2%}", i.tolerance.beyond)
            for name, i in spec.items.items()
        ]
        rows.append(
            (spec.right, "presence", spec.scope.replace("|", "\\|"), f"{spec.presence.share:.2%}", spec.presence.beyond)
        )
    yield from _table(("extract", "registration says", "the other says", "tolerance", "beyond it"), rows)


def _market_data() -> Iterator[str]:
    yield "## Market domain data\n"
    rows = [
        (
            f"`{name}`",
            f"{table.file}.csv",
            ", ".join(f"`{column}`" for column in table.names()),
            table.effective_from or "-",
        )
        for name, table in definitions().items()
    ]
    yield from _table(("table", "file", "columns", "in force from"), rows)


def _code_lists(contracts: Mapping[str, Contract]) -> Iterator[str]:
    yield "## Code lists\n"
    names = {str(r.kwargs["code_list"]) for c in contracts.values() for r in c.rules if "code_list" in r.kwargs}
    for name in sorted(names):
        yield f"### {name}\n"
        yield from _table(("code", "means"), [(f"`{code}`", meaning) for code, meaning in codes(name).items()])


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield _line(heads)
    yield _line(("---",) * len(heads))
    for row in rows:
        yield _line(tuple(cell.replace("|", "\\|") for cell in row))
    yield ""


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
