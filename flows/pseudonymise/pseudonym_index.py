"""The pseudonyms of a cut as sorted keys, in which the leak scan and the search for coincident pseudonyms look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.vocabulary import Field
from flows.cut.parallel import map_parallel
from flows.cut.partitions import JUDGED, ParticipantExtract
from flows.cut.workspace import Workspace
from transforms.pseudonymise import mpan
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.release import leak_candidates

AT_ONCE = 1 << 20  # keys that are worked on at a time


def keys_of(kind: Field, values: pl.Series) -> leak_candidates.Keys:
    """Return the key of each pseudonym of a field; ``values`` has no nulls."""
    return mpan.keys(values)[0] if kind is Field.MPAN else leak_candidates.text_keys(values)


def pseudonym_index(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], kind: Field
) -> leak_candidates.PseudonymIndex:
    """Collect the keys of every pseudonym of a field, in any extract; each once a partition, for they come again."""
    named = {h: [c.name for c in workspace.contracts[h.extract].staged if c.treatment.field is kind] for h in extracts}

    def part(number: int) -> leak_candidates.Keys:
        parts = [np.zeros(0, dtype=np.uint64)]
        for h, names in named.items():
            frame = workspace.scan(JUDGED, h.participant, h.extract, number) if names else None
            if frame is not None:
                values = frame.select(names).collect()
                parts += [keys_of(kind, values[name].drop_nulls()) for name in names]
        return leak_candidates.once(np.concatenate(parts))

    return leak_candidates.PseudonymIndex.of(np.concatenate(map_parallel(part, range(workspace.partitions))))


def coincident(known: leak_candidates.PseudonymIndex, pseudonymiser: Pseudonymiser) -> NDArray[np.bool_]:
    """Tell which pseudonym MPANs of a cut are the real MPAN of somebody in it: their own pseudonym is one of the cut.

    Shape: one value for each of ``known.keys``.
    """
    slices = (known.keys[at : at + AT_ONCE] for at in range(0, known.keys.size, AT_ONCE))
    return np.concatenate([np.zeros(0, np.bool_), *(known.contains(pseudonymiser.permuted(some)) for some in slices)])
