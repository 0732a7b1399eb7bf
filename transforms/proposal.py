"""What the columns of an unknown table are likely to be: by what they are called and by what they hold.

Works on texts of the first rows and gives back names, shares and words alone, never a value. What is only likely is for
a person to decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from contracts.model import Column, Contract, Spelling, plain
from contracts.vocabulary import Expectation, Form
from transforms.dates import MONTH_FIRST, READ, Reading, read_days
from transforms.pseudonymise.address import POSTCODE_PATTERN
from transforms.pseudonymise.mpan import LENGTH, WEIGHTS, normalise
from transforms.pseudonymise.premises_key import postcode_text

KNOWN, LIKELY, GUESSED = "known", "likely", "guessed"
ENOUGH = 0.3  # score from which a heading is proposed for a column
NEAR = 0.08  # two headings whose scores lie nearer than this are for a person to choose from
AGREES = 0.8  # share of filled cells that have a form for a column to hold it
SURE_FORMS = {Form.MPAN: 0.75, Form.POSTCODE: 0.7, Form.ESME_ID: 0.7, Form.UPRN: 0.4, Form.METER_SERIAL: 0.5}
_MPID = r"^[A-Z0-9]{4}$"
_ESME = r"^([0-9A-Fa-f]{2}[-:. ]?){7}[0-9A-Fa-f]{2}$"
_SERIAL = r"^[A-Za-z]{0,3}[0-9]{2}[A-Za-z]{0,4}[ -]?[0-9]{4,8}[A-Za-z]{0,2}$"
_WORDS = re.compile(r"[a-z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Match:
    """A heading that is proposed for a column.

    Attributes:
        sure: ``known`` (the list of names has it), ``likely`` (its words say so) or ``guessed`` (only what it holds).
        score: 0 to 1. agrees: share of filled cells that have the column's form; 1 where no cell is filled.
        rival: another heading that may mean it as well; empty for none.
    """

    column: str
    heading: str
    sure: str
    score: float
    agrees: float
    rival: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One contract for one table.

    Attributes:
        matches: in the contract's order. missing: required columns for which nothing was found.
        score: how well the contract fits; those of several contracts can be compared.
    """

    contract: str
    matches: tuple[Match, ...]
    missing: tuple[str, ...]
    score: float


def words(heading: str) -> list[str]:
    """Return the words of a heading, in lower case."""
    return _WORDS.findall(re.sub(r"([a-z])([A-Z])", r"\1 \2", heading).lower())


class Contents:
    """What the cells of a table look like: what several columns of several contracts ask is looked up once.

    Args:
        sample: the first rows, all text.
    """

    def __init__(self, sample: pl.DataFrame) -> None:
        self.sample = sample
        self._filled: dict[str, pl.Series] = {}
        self._shares: dict[tuple[object, ...], float] = {}
        self._spellings: list[Spelling] = []

    def share(self, heading: str, column: Column, contract: Contract) -> float:
        """Return the share of filled cells that have a column's form, or are on its code list; 1 where none is."""
        asked: tuple[object, ...] = (heading, column.form)
        if column.form is Form.CODE:
            options = column.options.get("width", 0), str(column.options.get("pattern"))
            asked = (*asked, *options, _codes(column, contract), column.name.endswith("_mpid"))
        elif column.form is Form.DATE:
            asked = (*asked, self._number(contract.spelling))
        if asked not in self._shares:
            if heading not in self._filled:
                trimmed = self.sample[heading].str.strip_chars().alias("text")
                self._filled[heading] = trimmed.filter((trimmed != "").fill_null(value=False))
            self._shares[asked] = _share(self._filled[heading], column, contract)
        return self._shares[asked]

    def _number(self, spelling: Spelling) -> int:
        for number, known in enumerate(self._spellings):
            if known is spelling:
                return number
        self._spellings.append(spelling)
        return len(self._spellings) - 1


def propose(
    contract: Contract,
    contents: Contents,
    likely: Mapping[str, Sequence[str]],
    *,
    own_mpid: str = "",
) -> Proposal:
    """Match the columns of a table to those of a contract.

    Args:
        contents: of the table.
        likely: contract column -> words that make a heading likely to mean it.
        own_mpid: MPID of the participant, if known: of several columns of MPIDs it tells the sender's own.
    """
    pairs, sample = [], contents.sample
    for column in contract.columns:
        phrases = [words(p) for p in likely.get(column.name, ())]
        names = {plain(name) for name in (column.name, *column.physical_names)}
        for heading in sample.columns:
            known = plain(heading) in names
            named = 1.0 if known else _named(heading, phrases)
            agrees = contents.share(heading, column, contract)
            score = _score(column, named, agrees, contract, sample[heading], own_mpid)
            if known or score >= ENOUGH:
                sure = KNOWN if known else LIKELY if named else GUESSED
                pairs.append(Match(column.name, heading, sure, 2.0 if known else score, agrees))
    return _chosen(contract, pairs, sample)


def _chosen(contract: Contract, pairs: Sequence[Match], sample: pl.DataFrame) -> Proposal:
    """Give each column the heading that fits it best, each heading once."""
    best: dict[str, Match] = {}
    taken: set[str] = set()
    for pair in sorted(pairs, key=lambda pair: -pair.score):
        if pair.column not in best and pair.heading not in taken:
            best[pair.column] = pair
            taken.add(pair.heading)
    matches = []
    for column in contract.columns:
        if (match := best.get(column.name)) is None:
            continue
        near = [p.heading for p in pairs if p.column == match.column and p.heading not in taken]
        near = [h for h in near if any(p.heading == h and p.column == match.column and match.score - p.score < NEAR
                                       for p in pairs)]  # fmt: skip
        rival = near[0] if near and match.sure != KNOWN else ""
        matches.append(Match(match.column, match.heading, match.sure, min(match.score, 1.0), match.agrees, rival))
    required = [column.name for column in contract.columns if column.required]
    missing = tuple(name for name in required if name not in best)
    held = sum(min(best[name].score, 1.0) for name in required if name in best) / max(len(required), 1)
    used = len(best) / max(len(sample.columns), 1)
    return Proposal(contract.extract, tuple(matches), missing, held + 0.5 * used - 0.4 * len(missing))


def _named(heading: str, phrases: Sequence[Sequence[str]]) -> float:
    """Return how far a heading's words are those of a phrase: all of a longer phrase says more."""
    mine = words(heading)
    best = 0.0
    for phrase in phrases:
        hit = all(any(_same(word, own) for own in mine) for word in phrase)
        if hit and phrase:
            best = max(best, 0.55 + 0.1 * min(len(phrase), 3) + 0.1 * (len(phrase) == len(mine)))
    return best


def _same(word: str, own: str) -> bool:
    return word == own or (len(word) > 3 and (own.startswith(word) or own == f"{word}s"))


def _score(column: Column, named: float, agrees: float, contract: Contract, texts: pl.Series, own_mpid: str) -> float:
    """Weigh name and content; content that disagrees outweighs a name that is only likely."""
    empty = texts.null_count() == texts.len()
    if named:
        return named * (0.6 if empty else 0.4 + 0.6 * agrees if agrees >= AGREES else 0.3 * agrees)
    if empty or agrees < AGREES:
        return 0.0
    if own_mpid and column.name in ("supplier_mpid",) and (texts.drop_nulls() == own_mpid).mean() == 1.0:
        return 0.9
    mine = SURE_FORMS.get(column.form, 0.0)
    if column.form is Form.CODE and _codes(column, contract) and texts.drop_nulls().n_unique() > 1:
        mine = 0.45
    if column.form is Form.DATE and column.required:
        mine = 0.4
    if column.form is Form.CODE and column.required and not _codes(column, contract):
        mine = 0.35
    first = column.required or column.form not in (Form.MPAN, Form.ESME_ID)  # linked MPANs are not told by content
    return mine * agrees if first or column.form is Form.ESME_ID else 0.0


def _share(filled: pl.Series, column: Column, contract: Contract) -> float:
    if not filled.len():
        return 1.0
    text = pl.col("text")
    match column.form:
        case Form.MPAN:
            return valid_mpans(filled)
        case Form.DATE:
            return dates(filled, contract.spelling)
        case Form.POSTCODE:
            good = postcode_text(text).str.contains(POSTCODE_PATTERN)
        case Form.ESME_ID:
            good = text.str.contains(_ESME)
        case Form.UPRN:
            good = text.str.contains("^[0-9]{8,12}$")
        case Form.METER_SERIAL:
            good = text.str.contains(_SERIAL)
        case Form.DECIMAL | Form.INTEGER:
            good = text.cast(pl.Float64, strict=False).is_not_null()
        case Form.FLAG:
            good = text.str.to_uppercase().is_in(["T", "F", "Y", "N", "TRUE", "FALSE", "YES", "NO", "1", "0"])
        case Form.CODE:
            good = _code(column, contract)
        case Form.ADDRESS_LINE:
            good = text.str.contains("[A-Za-z]{3}") | text.str.contains("^[0-9]+[A-Za-z]?$")
        case _:
            good = text.str.contains("^.{1,60}$")
    return float(filled.to_frame().select(good.fill_null(value=False).mean()).item() or 0.0)


def _codes(column: Column, contract: Contract) -> tuple[str, ...]:
    for rule in contract.rules:
        if rule.expectation == Expectation.IN_SET and rule.kwargs.get("column") == column.name and rule.codes:
            return rule.codes
    return ()


def _code(column: Column, contract: Contract) -> pl.Expr:
    text = pl.col("text").str.to_uppercase()
    width = int(column.options.get("width", 0))
    padded = pl.when(text.str.contains("^[0-9]+$")).then(text.str.zfill(width)).otherwise(text) if width else text
    if codes := _codes(column, contract):
        return padded.is_in(list(codes))
    if column.name.endswith("_mpid"):
        return text.str.contains(_MPID) & text.str.contains("[A-Z]")
    if width:
        return padded.str.contains(f"^[0-9A-Z]{{{width}}}$")
    return text.str.contains(str(column.options.get("pattern", "^[A-Z0-9_]{1,5}$")))


def valid_mpans(filled: pl.Series) -> float:
    """Return the share of texts that are MPAN cores with a valid check digit (domain 2.2)."""
    core = normalise(filled).alias("core").to_frame()
    digits = [pl.col("core").str.slice(n, 1).cast(pl.Int64, strict=False) for n in range(LENGTH)]
    total = pl.sum_horizontal([digit * weight for digit, weight in zip(digits, WEIGHTS, strict=False)])
    good = pl.col("core").str.contains(f"^[0-9]{{{LENGTH}}}$") & (total % 11 % 10 == digits[-1])
    return float(core.select(good.fill_null(value=False).mean()).item() or 0.0)


def dates(filled: pl.Series, spelling: Spelling) -> float:
    """Return the share of texts that are dates, in whatever order or with however short a year."""
    kinds = read_days(filled.unique(), spelling)["reading"]
    good = [int(kind) for kind in (*READ, Reading.TWO_DIGITS, Reading.NOT_DAY_FIRST)]
    return _mean(kinds.is_in(good))


def _mean(true: pl.Series) -> float:
    """Return the share of a column that is true."""
    return int(true.sum()) / max(true.len(), 1)


def date_order(texts: pl.Series, spelling: Spelling) -> str:
    """Return what ``dates:`` of a source has to say of a column; empty where nothing, ``?`` where nobody can tell."""
    filled = texts.str.strip_chars().unique().drop_nulls()
    kinds = read_days(filled, spelling)["reading"]
    if (kinds == int(Reading.TWO_DIGITS)).any() and not kinds.is_in([int(kind) for kind in READ]).any():
        named = _mean(filled.str.contains("(?i)[a-z]{3}"))
        mark = next((m for m in "/-. " if _mean(filled.str.contains(m, literal=True)) > AGREES), "/")
        return f"dd{mark}mon{mark}yy" if named > AGREES else f"dd{mark}mm{mark}yy"
    if not (kinds == int(Reading.NOT_DAY_FIRST)).any():
        return ""
    turned = read_days(filled, spelling, MONTH_FIRST)["reading"]
    return MONTH_FIRST if not (turned == int(Reading.NOT_DAY_FIRST)).any() else "?"
