"""The frozen lists of pseudonym scheme 1 as values."""

from __future__ import annotations

from dataclasses import dataclass

INWARD_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"  # C I K M O V never stand in an inward code
HIGHEST_NUMBER = 250


@dataclass(frozen=True, slots=True)
class SchemeLists:
    """The lists that pseudonyms are made from.

    Attributes:
        streets: street names, in the file's order.
        street_types: abbreviation to word, both upper case.
        post_towns: postcode area to post town.
        daily_shapes: of each half hour of a day, how much is imported and exported, as weights; beside the scheme, for
            half-hourly series that replace real ones.
    """

    streets: tuple[str, ...]
    street_types: dict[str, str]
    post_towns: dict[str, str]
    daily_shapes: tuple[tuple[int, int], ...]
