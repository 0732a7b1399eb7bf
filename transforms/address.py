"""Addresses: the premises key that two organisations share, and the address that replaces it.

Columns ``address_line_1`` .. ``address_line_9`` follow the layout of registration systems: 1 house label, 5
thoroughfare, 8 post town; all other lines of a pseudonym are null.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import polars as pl
import polars_hash  # noqa: F401 - registers the ``chash`` namespace
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.scheme import HIGHEST_NUMBER, INWARD_LETTERS, SchemeLists, scheme_lists
from transforms.keys import Subkey

LINES = tuple(f"address_line_{n}" for n in range(1, 10))
POSTCODE = "postcode"
COLUMNS = (*LINES, POSTCODE)
# area, district, space, sector and unit: positional letter rules of BS 7666
POSTCODE_PATTERN = (
    r"^(?:[A-PR-UWYZ][A-HK-Y]?[0-9][0-9]?|[A-PR-UWYZ][0-9][A-HJKPSTUW]|[A-PR-UWYZ][A-HK-Y][0-9][ABEHMNPRVWXY])"
    r"[0-9][ABD-HJLNP-UW-Z]{2}$"
)
BLOCK = 64
HASHED_AT_ONCE = 131_072
_NIBBLE = np.zeros(256, dtype=np.uint8)
_NIBBLE[48:58] = np.arange(10)
_NIBBLE[97:103] = np.arange(10, 16)


class PostcodePolicy(StrEnum):
    """How much of the real postcode a pseudonym keeps."""

    OUTWARD = "outward"
    AREA = "area"


def postcode_text() -> pl.Expr:
    """Return the postcode without spaces, NFKC, upper case; null when empty."""
    text = pl.col(POSTCODE).str.normalize("NFKC").str.to_uppercase().str.replace_all(r"\s", "")
    return pl.when(text.str.len_bytes() > 0).then(text)


def premises_key(frame: pl.DataFrame, lists: SchemeLists) -> pl.Series:
    """Return the premises key of each row, null where no line and no postcode holds a letter or digit.

    The words of all address lines in order, then the postcode without spaces: NFKC, upper case, anything but A-Z and
    0-9 is a space, street types written out, words joined by one space. Line breaks do not count.
    """
    lines = [pl.col(name) for name in LINES if name in frame.columns]
    postcode = pl.col(POSTCODE).str.replace_all(r"\s", "")
    joined = pl.concat_str([pl.lit(""), *lines, postcode, pl.lit("")], separator=" ", ignore_nulls=True)
    words = frame.select(joined.alias("words")).to_series()
    plain = words.str.len_bytes() == words.str.len_chars()
    if not plain.all():  # most rows are ASCII, which NFKC leaves as it is
        words = words.zip_with(plain, words.str.normalize("NFKC"))
    spaced = pl.col("words").str.to_uppercase().str.replace_all(r"[^A-Z0-9]+", " ")
    written = _street_types(_street_types(spaced, lists), lists)  # twice: neighbours share the space between them
    out = words.to_frame().select(written.str.strip_chars(" ").alias("premises"))
    return out.select(pl.when(pl.col("premises").str.len_bytes() > 0).then(pl.col("premises"))).to_series()


def _street_types(words: pl.Expr, lists: SchemeLists) -> pl.Expr:
    pairs = {f" {short} ": f" {word} " for short, word in lists.street_types.items()}
    return words.str.replace_many(list(pairs), list(pairs.values()))


def hmac_sha256(key: Subkey, messages: pl.Series) -> NDArray[np.uint8]:
    """Return HMAC-SHA-256 of each text as an ``(n, 32)`` matrix (RFC 2104).

    The padded key is joined to the messages as data and hashed by a column function: no key byte is ever part of an
    expression, so none can surface in a query plan, an ``explain()`` or an error.
    """
    out = np.empty((messages.len(), 32), dtype=np.uint8)
    padded = np.frombuffer(key.material().ljust(BLOCK, b"\0"), np.uint8)
    inner, outer = (padded ^ np.uint8(0x36)).tobytes(), (padded ^ np.uint8(0x5C)).tobytes()
    for at in range(0, messages.len(), HASHED_AT_ONCE):
        part = messages.slice(at, HASHED_AT_ONCE).cast(pl.Binary).to_arrow().cast(pa.large_binary())
        digest = _sha256(inner, part)
        rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(part), [None, pa.py_buffer(digest)])
        out[at : at + len(part)] = _sha256(outer, rows.cast(pa.large_binary()))
    return out


def _sha256(prefix: bytes, messages: pa.Array) -> NDArray[np.uint8]:
    whole = pc.binary_join_element_wise(
        pa.scalar(prefix, pa.large_binary()), messages, pa.scalar(b"", pa.large_binary())
    )
    series = pl.Series("m", whole)
    digest = series.to_frame().select(pl.col("m").chash.sha2_256()).to_series()  # type: ignore[attr-defined]
    array = digest.to_arrow().cast(pa.large_string())
    _, offsets, data = array.buffers()
    start = np.frombuffer(offsets, np.int64)[array.offset]
    hexed = _NIBBLE[np.frombuffer(data, np.uint8)[start : start + 64 * len(array)]].reshape(-1, 2)
    return ((hexed[:, 0] << np.uint8(4)) | hexed[:, 1]).reshape(-1, 32)


def addresses(key: Subkey, frame: pl.DataFrame, policy: PostcodePolicy = PostcodePolicy.OUTWARD) -> pl.DataFrame:
    """Return the pseudonym address of each row.

    Args:
        key: field key ``address``.
        frame: any of ``address_line_1`` .. ``address_line_9``, and ``postcode`` (all text).
        policy: keep the outward part of the postcode, or only its area.

    Returns:
        The columns of ``COLUMNS``. All are null for a row without any address; the postcode and the post town are
        null where the real postcode is malformed, since nothing of it may pass then.
    """
    lists = scheme_lists()
    if POSTCODE not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.String).alias(POSTCODE))
    premises = premises_key(frame, lists)
    groups = hmac_sha256(key, premises.fill_null("")).view(">u8")[:, :3]
    picks = pl.DataFrame(
        {
            "number": (groups[:, 0] % HIGHEST_NUMBER + 1).astype(np.uint32),
            "street": (groups[:, 1] % len(lists.streets)).astype(np.uint32),
            "inward": (groups[:, 2] % (10 * len(INWARD_LETTERS) ** 2)).astype(np.uint32),
            "known": premises.is_not_null(),
            "postcode": frame.select(postcode_text()).to_series(),
        }
    )
    return _layout(picks, lists, policy)


def _layout(picks: pl.DataFrame, lists: SchemeLists, policy: PostcodePolicy) -> pl.DataFrame:
    inwards = [f"{digit}{a}{b}" for digit in range(10) for a in INWARD_LETTERS for b in INWARD_LETTERS]
    outward = pl.col("postcode").str.head(-3)
    area = outward.str.extract(r"^([A-Z]{1,2})", 1)
    kept = outward if policy is PostcodePolicy.OUTWARD else area
    formed = pl.col("known") & pl.col("postcode").str.contains(POSTCODE_PATTERN)
    picked = {
        "address_line_1": pl.col("number").cast(pl.String),
        "address_line_5": pl.lit(pl.Series(lists.streets)).gather(pl.col("street")),
        "address_line_8": area.replace_strict(lists.post_towns, default=None, return_dtype=pl.String),
        "postcode": kept + pl.lit(" ") + pl.lit(pl.Series(inwards)).gather(pl.col("inward")),
    }
    columns = []
    for name in COLUMNS:
        when = formed if name in ("address_line_8", "postcode") else pl.col("known")
        value = picked.get(name, pl.lit(None, pl.String))
        columns.append(pl.when(when).then(value).otherwise(None).alias(name))
    return picks.select(columns)
