"""Try every mistake and print the table: mistake, exit code, line. Names of kinds, if given, choose."""

from __future__ import annotations

import sys
import tempfile
import textwrap
from itertools import groupby
from pathlib import Path

from tests.mistakes.tried import answer, line, mistakes, said

chosen = [m for m in mistakes() if not sys.argv[1:] or any(word in f"{m.kind} {m.name}" for word in sys.argv[1:])]
wrong = 0
for kind, members in groupby(chosen, key=lambda m: m.kind):
    print(f"\n{kind.partition('_')[2].replace('_', ' ').capitalize()}")
    for mistake in members:
        with tempfile.TemporaryDirectory() as folder:
            done = answer(mistake, Path(folder) / "place")
        printed = " ".join(f"{done.out} {done.err}".split())
        good = done.code == mistake.given["code"] and all(text in printed for text in said(mistake))
        wrong += not good
        print(
            f"  {done.code:>3}  {mistake.name}" + ("" if good else f"   NOT AS IT SHOULD BE ({mistake.given['code']})")
        )
        print(textwrap.fill(line(done, said(mistake)), 110, initial_indent="       ", subsequent_indent="       "))
print(f"\n{len(chosen)} mistakes, {wrong} not answered as they should be")
sys.exit(1 if wrong else 0)
