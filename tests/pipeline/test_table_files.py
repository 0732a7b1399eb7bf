"""Tables of a release: what some rows of a frame are as CSV, and codes and texts as one Parquet file."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from flows.release.table_files import CsvLines, CsvTable, ParquetTable

ROWS = [3, 0, 4]


@pytest.mark.parametrize("odd", ["plain", "two\nlines", 'a "quoted", one', "café"])
def test_lines_of_some_rows_are_those_of_the_frame_of_these_rows(tmp_path, odd):
    frame = pl.DataFrame({"name": ["x", None, "", odd, "y"], "kwh": [1, 2, None, 4, 5]})
    lines = CsvLines(frame)
    with CsvTable(tmp_path / "some.csv") as table:
        table.add(lines, np.array(ROWS))
        table.add(lines, np.array([], np.intp))
        table.add(lines, np.array([1]))
    assert (tmp_path / "some.csv").read_bytes().decode() == frame[[*ROWS, 1]].write_csv()


def test_codes_and_texts_are_read_back_as_text_in_their_order(tmp_path):
    codes = pl.Series("code", ["B", None, "A"], dtype=pl.Enum(["A", "B", "a code that is longer than twelve"]))
    frame = pl.DataFrame([pl.Series("text", ["p", "a text of more than twelve bytes", None]), codes])
    with ParquetTable(tmp_path / "t.parquet") as table:
        table.add(frame)
        table.add(frame.tail(2).head(1))
    found = pl.DataFrame(pq.read_table(tmp_path / "t.parquet"))
    assert found.equals(frame[[0, 1, 2, 1]].with_columns(pl.col("code").cast(pl.String)))


def test_bytes_are_those_of_the_rows_however_they_come(tmp_path):
    count = 100_000  # of several pages: they end where a piece ends, unless the pieces are put together before
    frame = pl.DataFrame({"mpan_core": np.arange(count).astype(str), "text": (np.arange(count) * 7919).astype(str)})
    for size in (count, 1_000):
        with ParquetTable(tmp_path / f"{size}.parquet") as table:
            for piece in frame.iter_slices(size):
                table.add(piece)
    assert (tmp_path / "1000.parquet").read_bytes() == (tmp_path / f"{count}.parquet").read_bytes()
