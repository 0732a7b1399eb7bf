"""Records of ring-fenced metering points -> DIP messages, by the tables in ``contracts/messages``: a column of texts.

Pure: the same records, event and tables give the same texts. No message is made that would lack what its blocks must
hold, or hold what is not as published: the reason stands in its place. An optional block is left out where something
that it must hold is not held.

Source: the published blocks and events; Q34 (message, metering point and test case belong together), Q106, Q107.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from contracts.conditions import sql
from contracts.errors import ContractError
from contracts.messages.model import BlockUse, Event, FormKind, MessageTables, MessageValues, Part
from transforms.release.message_forms import conforms, encoded

KEY, OF = "mpan_core", "_of"  # a metering point, and in a frame of entries the one whose list they stand in
ITSELF = "itself"
DIP_OWN = "D0"
TEXT, MISSING, MALFORMED = "text", "missing", "malformed"
_NOTHING = pl.lit(None, pl.String)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A part as expressions: its JSON, what it lacks, what is not as published, and whether it says anything."""

    text: Callable[[], pl.Expr]  # made where a message is wanted: it is most of the work
    missing: pl.Expr
    malformed: pl.Expr
    given: pl.Expr


class MessageComposer:
    """Composes the messages of an event for a frame of metering points.

    Args:
        tables: blocks and events of one version.
        values: where the value of each key comes from.
        children: what the entries of a list are, by kind: frames with ``_of``, the metering point that they belong to,
            and the columns that the values read. Their texts are made once and kept, so a composer belongs to one set
            of metering points.
    """

    def __init__(self, tables: MessageTables, values: MessageValues, children: Mapping[str, pl.DataFrame]) -> None:
        self._tables, self._values, self._children = tables, values, children
        self._kept: dict[tuple[str, str, bool], pl.DataFrame] = {}
        self._blocks: dict[tuple[str, str, bool, int], tuple[Part, _Rendered]] = {}

    def of(self, children: Mapping[str, pl.DataFrame]) -> MessageComposer:
        """Return a composer for another set of metering points, which shares what does not depend on them."""
        other = MessageComposer(self._tables, self._values, children)
        other._blocks = self._blocks
        return other

    def compose(
        self,
        frame: pl.DataFrame,
        event: Event,
        without: Sequence[str] = (),
        *,
        rows: pl.Series | None = None,
        text: bool = True,
    ) -> pl.DataFrame:
        """Return columns ``message`` (JSON, null where none is made) and ``reason`` (null where one is), row by row.

        Args:
            frame: ``mpan_core`` and every column that the values of the event read.
            without: optional blocks to leave out.
            rows: places of the rows wanted; all where not given.
            text: whether messages are wanted, or only the reasons.

        Raises:
            ContractError: a key has no value, or a value reads a column that is not there.
        """
        common = [use for use in event.common if use.key != DIP_OWN]
        custom = [use for use in event.custom if use.key not in without]
        blocks = {use.key: self._block(use, event) for use in (*common, *custom)}
        ready = self._ready(frame, [whole for whole, _ in blocks.values()], event, text=text, rows=rows)
        rendered = {key: done for key, (_, done) in blocks.items()}
        faults = [fault for use in (*common, *custom) for fault in _faults(use, rendered[use.key])]
        if not text:
            return ready.select(_NOTHING.alias("message"), pl.coalesce([*faults, _NOTHING]).alias("reason"))
        texts = [_joined(uses, rendered) for uses in (common, custom) if uses]
        message = _enclosed(['{"payload":{"CommonBlock":{', '},"CustomBlock":{'][: len(texts)], texts, "}}}")
        reason = pl.coalesce([*faults, _NOTHING])
        done = ready.select(message.alias("message"), reason.alias("reason"))
        return done.with_columns(pl.when(pl.col("reason").is_null()).then(pl.col("message")).alias("message"))

    def _block(self, use: BlockUse, event: Event) -> tuple[Part, _Rendered]:
        """Return a block as one part, and as expressions; events share most of their blocks."""
        block = self._tables.blocks[use.block]
        most = (block.most or {}).get(event.interface, 0)
        key = (use.key, use.block, use.optional, most)
        if key not in self._blocks:
            whole = Part(use.key, use.key, block.name, None, "", block.parts, block.repeats, most, use.optional)
            self._blocks[key] = whole, self._render(whole)
        return self._blocks[key]

    def _ready(
        self, frame: pl.DataFrame, parts: Sequence[Part], event: Event, *, text: bool, rows: pl.Series | None = None
    ) -> pl.DataFrame:
        """Return every value of some parts, encoded, under its path; and the texts of lists of other rows.

        Args:
            text: whether the texts of lists are wanted, or only whether there is an entry and what is wrong with it.
        """
        origin = self._kind_of(event)
        leaves = {leaf.path: leaf for part in parts for leaf in _own_leaves(part, origin)}
        sources = {path: self._source(leaf) for path, leaf in leaves.items()}
        read = {name for source in sources.values() for name in source.meta.root_names()}
        if lacking := sorted(read - set(frame.columns)):
            raise ContractError(f"values read {', '.join(lacking)}, which no record has", where="values.yaml")
        narrow = frame.select(sorted({KEY, *read}))
        raw = (narrow if rows is None else narrow[rows]).select(KEY, **sources)
        kinds = raw.schema
        forms = {path: leaf.form for path, leaf in leaves.items()}
        done = raw.with_columns(
            encoded(pl.col(path), kinds[path], form).alias(path) for path, form in forms.items() if form is not None
        )
        for part in parts:
            for inner in _lists_of_others(part, origin):
                texts = self._texts(inner, origin.get(inner.path, ""), event, text=text)
                done = done.join(texts, on=KEY, how="left", maintain_order="left")
        return done

    def _kind_of(self, event: Event) -> Mapping[str, str]:
        return {**self._values.lists, **self._values.event_lists.get(event.code, {})}

    def _source(self, leaf: Part) -> pl.Expr:
        text = self._values.source(leaf)
        if text is None:
            raise ContractError(f"nothing says what {leaf.path} is", where="values.yaml")
        return sql(text)

    def _texts(self, part: Part, kind: str, event: Event, *, text: bool) -> pl.DataFrame:
        """Return the entries of a list, one text a metering point: ``mpan_core`` and three columns under its path."""
        kept = self._kept.get((part.path, kind, text))
        if kept is not None:
            return kept
        if kind not in self._children:
            raise ContractError(f"nothing says what the entries of {part.path} are", where="values.yaml")
        child = self._children[kind]
        entry = replace(part, repeats=False)
        ready = self._ready(child, [entry], event, text=text).with_columns(child[OF])
        one = self._render(entry)
        rows = ready.select(OF, text=one.text() if text else pl.lit(""), missing=one.missing, malformed=one.malformed)
        whole = rows.group_by(OF, maintain_order=True).agg(
            pl.col(TEXT).str.join(","),
            pl.col(MISSING).drop_nulls().first(),
            pl.col(MALFORMED).drop_nulls().first(),
            pl.len().alias("entries"),
        )
        too_many = pl.lit(part.most > 0) & (pl.col("entries") > part.most)
        done = whole.select(
            pl.col(OF).alias(KEY),
            pl.col(TEXT).alias(f"{part.path} {TEXT}"),
            pl.col(MISSING).alias(f"{part.path} {MISSING}"),
            pl.when(too_many).then(pl.lit(part.path)).otherwise(MALFORMED).alias(f"{part.path} {MALFORMED}"),
        )
        self._kept[part.path, kind, text] = done
        return done

    def _render(self, part: Part) -> _Rendered:
        if part.repeats and self._of_others(part):
            listed = pl.col(f"{part.path} {TEXT}")
            given = listed.is_not_null()
            missing = (
                pl.when(~given).then(pl.lit(f"an entry of {part.name}")).otherwise(pl.col(f"{part.path} {MISSING}"))
            )
            malformed = pl.col(f"{part.path} {MALFORMED}")
            return _Rendered(lambda: _enclosed(["["], [listed], "]"), missing, malformed, given)
        whole = self._object(part)
        return replace(whole, text=lambda: _enclosed(["["], [whole.text()], "]")) if part.repeats else whole

    def _of_others(self, part: Part) -> bool:
        return self._values.lists.get(part.path, "") != ITSELF

    def _object(self, part: Part) -> _Rendered:
        leaves = [p for p in part.parts if p.form is not None]
        nested = [(p, self._render(p)) for p in part.parts if p.form is None]
        given = [_says_something(p) for p in leaves]
        missing: list[pl.Expr] = [
            pl.when(pl.col(p.path).is_null()).then(pl.lit(self._origin(p)))
            for p in leaves
            if p.form is not None and not p.form.nullable
        ]
        malformed: list[pl.Expr] = [
            pl.when(~conforms(pl.col(p.path), p.form)).then(pl.lit(p.path)) for p in leaves if p.form is not None
        ]
        for inner, done in nested:
            there = _there(inner, done)
            given.append(done.given & there)
            malformed.append(pl.when(there).then(done.malformed))
            if not inner.optional:
                missing.append(done.missing)
        return _Rendered(
            partial(_object_text, leaves, nested),
            pl.coalesce([*missing, _NOTHING]), pl.coalesce([*malformed, _NOTHING]),
            pl.any_horizontal(given) if given else pl.lit(value=False),
        )  # fmt: skip

    def _origin(self, leaf: Part) -> str:
        """Return the column that a value comes from, or its path where it comes from none."""
        names = self._source(leaf).meta.root_names()
        return names[0] if names else leaf.path


def _there(part: Part, done: _Rendered) -> pl.Expr:
    return done.given & done.missing.is_null() if part.optional else pl.lit(value=True)


def _object_text(leaves: Sequence[Part], nested: Sequence[tuple[Part, _Rendered]]) -> pl.Expr:
    """Return a JSON object of the values of a part and of the parts in it."""
    pieces: list[pl.Expr] = []
    if leaves:
        body = pl.struct(pl.col(p.path).alias(p.name) for p in leaves).struct.json_encode()
        pieces.append(body.str.slice(1, body.str.len_chars() - 2))
    for inner, done in nested:
        pieces.append(pl.when(_there(inner, done)).then(_enclosed([f'"{inner.name}":'], [done.text()], "")))
    return _enclosed(["{"], [pl.concat_str(pieces, separator=",", ignore_nulls=True)], "}")


def _own_leaves(part: Part, kinds: Mapping[str, str]) -> Iterable[Part]:
    """Yield the values of a part that its own row holds: not those in lists of other rows."""
    if part.form is not None:
        yield part
    elif not part.repeats or kinds.get(part.path, "") == ITSELF:
        for inner in part.parts:
            yield from _own_leaves(inner, kinds)


def _lists_of_others(part: Part, kinds: Mapping[str, str]) -> Iterable[Part]:
    """Yield the lists of other rows in a part, itself among them, but none within such a list."""
    if part.repeats and kinds.get(part.path, "") != ITSELF:
        yield part
        return
    for inner in part.parts:
        yield from _lists_of_others(inner, kinds)


def _says_something(part: Part) -> pl.Expr:
    column = pl.col(part.path)
    return column.list.len() > 0 if part.form and part.form.kind is FormKind.LIST else column.is_not_null()


def _faults(use: BlockUse, done: _Rendered) -> list[pl.Expr]:
    """Return why a message cannot be made for the sake of one block."""
    malformed = pl.concat_str(done.malformed, pl.lit(" is not as published"))
    if use.optional:
        return [pl.when(done.given & done.missing.is_null()).then(malformed)]
    missing = pl.concat_str(done.missing, pl.lit(" is not held"))
    return [missing, malformed]


def _joined(uses: Sequence[BlockUse], rendered: Mapping[str, _Rendered]) -> pl.Expr:
    """Return the blocks that are there, with their names, joined by commas."""
    parts = []
    for use in uses:
        done = rendered[use.key]
        named = _enclosed([f'"{use.key}":'], [done.text()], "")
        parts.append(pl.when(done.given & done.missing.is_null()).then(named) if use.optional else named)
    return pl.concat_str(parts, separator=",", ignore_nulls=True)


def _enclosed(before: Sequence[str], texts: Sequence[pl.Expr], after: str) -> pl.Expr:
    parts = [piece for opening, text in zip(before, texts, strict=True) for piece in (pl.lit(opening), text)]
    return pl.concat_str([*parts, pl.lit(after)])
