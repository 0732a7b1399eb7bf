"""Headers and trailers of DTC files that follow each other: each file is held against its own totals."""

from __future__ import annotations

import polars as pl

from contracts.errors import IntakeError, RefusedError
from flows.intake.dtc_nesting import HEADER

TRAILER = "ZPT"
RESEND = "ask the sender for the file again"
_LEAST_HEADER = "f7"


class Totals:
    """Follows headers and trailers from block to block.

    Attributes:
        ended: whether the records so far end with a trailer.
        files: files begun so far.
    """

    def __init__(self, label: str, file_id: str) -> None:
        self.label, self.ended, self.files = label, False, 1
        self._file_id: str = file_id
        self._groups = 0  # records of the open file

    def take(self, table: pl.DataFrame, line: int) -> None:
        """Judge the headers and trailers of a block.

        Args:
            table: the records of the block, ``f0`` to ``f7`` among their fields; an empty one has a null ``f0``.
            line: line of the first one.

        Raises:
            IntakeError: records stand outside a file, a file does not end, or a header is not whole.
            RefusedError: a trailer belongs to another file, or counts other groups than there are.
        """
        records = table.lazy().with_row_index("at").filter(pl.col("f0").is_not_null()).with_row_index("n")
        marks = records.filter(pl.col("f0").is_in([HEADER, TRAILER])).select("n", "at", "f0", "f1", "f2", _LEAST_HEADER)
        found, height = pl.collect_all([marks, records.select(pl.len(), pl.col("at").first())])
        total, first = height.row(0)
        if not total:
            return
        if self.ended and (found.is_empty() or found["n"][0] or found["f0"][0] != HEADER):
            raise IntakeError(f"continues after its trailer at line {line + first}", where=self.label, remedy=RESEND)
        if found.is_empty():
            self._groups += total
            return
        self._judge(found, line, total)

    def _judge(self, found: pl.DataFrame, line: int, total: int) -> None:
        """Hold every trailer against the header before it; all at once, since joined files may be many."""
        opened = (
            pl.DataFrame(
                {"n": [-1 - self._groups], "at": [0], "f0": [HEADER], "f1": [self._file_id], "f2": [""], "f7": [""]}
            )
            if not self.ended
            else pl.DataFrame()
        )
        rows = [found.with_columns(pl.col("n", "at").cast(pl.Int64))]
        marks = pl.concat([*([opened] if not self.ended else []), *rows], how="vertical_relaxed")
        is_head = pl.col("f0") == HEADER
        marks = marks.with_columns(
            pl.col("f1").str.strip_chars().fill_null(""),
            pl.col("f2").str.strip_chars().fill_null(""),
            again=is_head & is_head.shift(1, fill_value=False),
            stray=~is_head & ~is_head.shift(1, fill_value=False),
            short=is_head & pl.col("f7").is_null(),
            late=is_head & (pl.col("n") != pl.col("n").shift(1) + 1) & ~is_head.shift(1, fill_value=True),
        )
        self._refuse(marks, line)
        tails = marks.with_columns(of=pl.col("f1").shift(1), groups=pl.col("n") - pl.col("n").shift(1) - 1).filter(
            pl.col("f0") == TRAILER
        )
        if (tails["f1"] != tails["of"]).any():
            raise RefusedError("header and trailer belong to different files", where=self.label, remedy=RESEND)
        stated = pl.when(pl.col("f2").str.contains(r"^[0-9]{1,12}$")).then(pl.col("f2").cast(pl.Int64, strict=False))
        wrong = tails.filter(stated.is_null() | (stated != pl.col("groups")))
        if wrong.height:
            raise RefusedError(
                f"the trailer counts another number of groups than the {wrong['groups'][0]} found",
                where=self.label,
                remedy=RESEND,
            )
        self._go_on(marks, total, line)

    def _refuse(self, marks: pl.DataFrame, line: int) -> None:
        for name, what in (
            ("again", "the file before this header has no ZPT trailer"),
            ("stray", "continues after its trailer"),
            ("late", "continues after its trailer"),
            ("short", "has a ZHV header record that is not whole"),
        ):
            hit = marks.with_columns(before=pl.col("at").shift(1) + 1).filter(name)
            if hit.height:
                at = line + hit["before" if name == "late" else "at"][0]
                raise IntakeError(f"{what} at line {at}", where=self.label, remedy=RESEND)

    def _go_on(self, marks: pl.DataFrame, total: int, line: int) -> None:
        last = marks.row(-1, named=True)
        self.files += marks.filter((pl.col("f0") == HEADER) & (pl.col("n") >= 0)).height
        self.ended = last["f0"] == TRAILER
        if self.ended:
            if last["n"] != total - 1:
                after = line + int(last["at"]) + 1
                raise IntakeError(f"continues after its trailer at line {after}", where=self.label, remedy=RESEND)
            self._groups = 0
        else:
            self._file_id, self._groups = last["f1"], total - 1 - last["n"]

    def judge_end(self) -> None:
        """Refuse a file that was cut off.

        Raises:
            IntakeError: the last file has no trailer.
        """
        if not self.ended:
            raise IntakeError("ends without its ZPT trailer record", where=self.label, remedy=RESEND)
