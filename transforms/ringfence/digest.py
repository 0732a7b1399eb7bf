"""The digest of a population as the allocator sees it: the order of the rows that came in does not count."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from transforms.ringfence.population import Population


def population_digest(population: Population) -> str:
    """Return the SHA-256, in hex, of identities, links, conformity, direction and coded attributes in MPAN order."""
    digest = hashlib.sha256()

    def add(name: str, array: NDArray[np.generic]) -> None:
        digest.update(f"{name} {array.dtype.str} {len(array)}\n".encode())
        digest.update(np.ascontiguousarray(array).data)

    add("mpan", population.ids)
    if population.names.listed is not None:
        digest.update("\n".join(population.names.listed.to_list()).encode())
    digest.update(f"width {population.names.width}\n".encode())
    add("conforming", population.conforming)
    add("direction", population.direction)
    for number, (rows, targets) in enumerate((*population.links, *population.together)):
        add(f"link {number} from", rows)
        add(f"link {number} to", targets)
    for coding in population.codings:
        add(f"attribute {coding.attribute}", population.codes[coding.attribute])
        digest.update("\n".join([*coding.values.to_list(), ""]).encode())
    return digest.hexdigest()
