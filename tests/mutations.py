"""Ways to spoil a file: its bytes, or the cells of its table. Everything follows from the random numbers handed in."""

from __future__ import annotations

import random

NASTY = (
    b'"', b"\n", b"\r", b"\0", b",", b"|", b"\t", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\x81", b"\x1b",
    b'""', b"\n\n",
    b"PK\3\4", b"PK\1\2", b"\x1f\x8b\x08", b"PAR1", b"ZHV|", b"ZPT|", b"288|", b"\xff" * 8, b"\x80" * 10, b"x" * 5000,
)  # fmt: skip
ODD = (
    "", " ", "NULL", "null", "0", "-1", "1E+12", "1.0", "1,234", "=1+1", "@SUM(A1)", "'", "`", "\\", "%s", "{0}",
    "${x}", "../../x", "31/02/2023", "2023-13-01", "00000000", "99991231", "9" * 13, "0" * 13, "1" * 40, "é",
    "\u202e", "\u00a0", "\uff11\uff12\uff13", "\u0661\u0662", "\U0001f600", "MR JONES", "a@b.example", "07700 900123",
    "x" * 4096, "X" * 5000,
)  # fmt: skip
NAMES = ("", " ", "Name", "Password", "MPAN", "mpan core", "Supplier", "column", "PSR", "Telephone", "x" * 200, "é")
Row = list[str]


def spoil_bytes(data: bytes, choice: random.Random) -> bytes:
    """Change some bytes: flip, replace, insert, cut out, cut off, repeat, overwrite."""
    held = bytearray(data)
    for _ in range(choice.choice((1, 1, 1, 2, 4, 16))):
        at = choice.randrange(len(held) + 1)
        kind = choice.randrange(7)
        if kind == 0 and at < len(held):
            held[at] ^= 1 << choice.randrange(8)
        elif kind == 1 and at < len(held):
            held[at] = choice.randrange(256)
        elif kind == 2:
            held[at:at] = choice.choice(NASTY)
        elif kind == 3:
            del held[at : at + choice.choice((1, 2, 10, 100))]
        elif kind == 4:
            del held[at:]
        elif kind == 5:
            piece = held[at : at + choice.choice((1, 8, 64, 500))]
            held[at:at] = piece * choice.choice((1, 2, 50))
        else:
            number = choice.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF)).to_bytes(4, "little")
            held[at : at + 4] = number
        if not held:
            held = bytearray(b"x")
    return bytes(held)


def spoil_cells(header: Row, rows: list[Row], choice: random.Random) -> tuple[Row, list[Row]]:
    """Change some cells: identifiers move to other columns and rows, values turn odd, columns and rows go or come.

    An empty header stands for a file without one (a DTC user file).
    """
    header, rows = list(header), [list(row) for row in rows]
    for _ in range(choice.choice((1, 1, 2, 3, 8))):
        if not rows:
            break
        _spoil_once(header, rows, choice)
    return header, rows


def _spoil_once(header: Row, rows: list[Row], choice: random.Random) -> None:
    row, other = choice.choice(rows), choice.choice(rows)
    at, to = choice.randrange(len(row) or 1), choice.randrange(len(row) or 1)
    if not row or not other:
        return
    match choice.randrange(13):
        case 0:
            row[at], row[to] = row[to], row[at]
        case 1:
            row[to] = row[at]
        case 2:
            row[to] = choice.choice(other)
        case 3:
            row[at] = choice.choice(ODD)
        case 4:
            row[at] = f"{row[at]}{choice.choice((' ', '-', '', ','))}{row[to]}"
        case 5:
            row[at] = choice.choice((row[at].lower(), row[at][::-1], f" {row[at]} ", row[at][:-1], " ".join(row[at])))
        case 6:
            rows.insert(choice.randrange(len(rows) + 1), list(row))
        case 7:
            rows.remove(row)
        case 8:
            row.append(choice.choice(other))
        case 9:
            row.pop()
        case 10 if header:
            header[choice.randrange(len(header))] = choice.choice((*NAMES, *header))
        case 11 if header:
            _swap_columns(header, rows, choice)
        case _:
            for each in rows:
                if at < len(each) and to < len(each):
                    each[to] = each[at]


def _swap_columns(header: Row, rows: list[Row], choice: random.Random) -> None:
    """Exchange two columns, or double one under a name that may be anybody's."""
    one, two = choice.randrange(len(header)), choice.randrange(len(header))
    if choice.random() < 0.5:
        header.append(choice.choice((*NAMES, "Remarks")))
        for row in rows:
            row.append(row[one] if one < len(row) else "")
    else:
        for row in rows:
            if max(one, two) < len(row):
                row[one], row[two] = row[two], row[one]
