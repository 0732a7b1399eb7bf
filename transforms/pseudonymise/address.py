"""Addresses: the address that replaces a real one, chosen by the keyed hash of its premises key.

Columns ``address_line_1`` .. ``address_line_9`` follow the layout of registration systems: 1 house label, 5
thoroughfare, 8 post town; all other lines of a pseudonym are null.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from contracts.scheme.model import HIGHEST_NUMBER, INWARD_LETTERS, SchemeLists
from contracts.vocabulary import PostcodePolicy
from transforms.pseudonymise.keyed_hash import hmac_sha256
from transforms.pseudonymise.keys import Subkey
from transforms.pseudonymise.premises_key import LINES, POSTCODE, postcode_text, premises_key

COLUMNS = (*LINES, POSTCODE)
# area, district, space, sector and unit: positional letter rules of BS 7666
POSTCODE_PATTERN = (
    r"^(?:[A-PR-UWYZ][A-HK-Y]?[0-9][0-9]?|[A-PR-UWYZ][0-9][A-HJKPSTUW]|[A-PR-UWYZ][A-HK-Y][0-9][ABEHMNPRVWXY])"
    r"[0-9][ABD-HJLNP-UW-Z]{2}$"
)


def addresses(
    key: Subkey, frame: pl.DataFrame, lists: SchemeLists, policy: PostcodePolicy = PostcodePolicy.OUTWARD
) -> pl.DataFrame:
    """Return the pseudonym address of each row.

    Args:
        key: field key ``address``.
        frame: any of ``address_line_1`` .. ``address_line_9``, and ``postcode`` (all text).
        lists: the frozen lists of the scheme.
        policy: keep the outward part of the postcode, or only its area.

    Returns:
        The columns of ``COLUMNS``. All are null for a row without any address; the postcode and the post town are
        null where the real postcode is malformed, since nothing of it may pass then.
    """
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
            "postcode": frame.select(postcode_text(pl.col(POSTCODE))).to_series(),
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
        if name in picked:
            when = formed if name in ("address_line_8", POSTCODE) else pl.col("known")
            columns.append(pl.when(when).then(picked[name]).alias(name))
        else:
            columns.append(pl.lit(None, pl.String).alias(name))
    return picks.select(columns)
