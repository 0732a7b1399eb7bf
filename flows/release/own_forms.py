"""OWN FORMS: the rows of a release in the form in which their owner's backup came, written before the packs are.

They are made from the Parquet files of the release as these lie in the work folder.

Source: Q62, Q63 (augmented data goes back for loading).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contracts.errors import PlaceError
from contracts.evidence_inputs import InputEvidence, ReturnedFlow
from flows.cut.config import Participant
from flows.cut.context import Context, sources_of
from flows.cut.partitions import AUGMENTED
from flows.cut.qualification import gets_return
from flows.cut.workspace import disk, second_name
from flows.release.augmented import COUNTERPARTIES, counterparties
from flows.release.return_files import ReturnedForm, returned_flow, write_form
from transforms.release.source_form import form_of


def recipients(known: Context) -> list[Participant]:
    """Return the participants that get a return pack."""
    model = known.job.model
    return [p for p in model.participants if gets_return(model, p.mpid)]


def own_forms(
    known: Context, release: Path, participant: Participant, place: Callable[[str], Path]
) -> dict[str, ReturnedFlow]:
    """Write a participant's rows in its own form, and take over who its counterparties are.

    Extracts that came in one DTC file go back in one, also where it was one of several files of each.

    Args:
        release: where the files of the release lie.
        place: path in the return pack -> where to write it.

    Returns:
        What became of each extract of a flow.

    Raises:
        EvidenceError: a value cannot be written in that form.
        PlaceError: the disk is unfit, or what was written beside the participant's augmented records is gone.
    """
    _counterparties(known, release, participant, place)
    shared: list[tuple[set[str], list[ReturnedForm]]] = []
    for entry in sources_of(known):
        source = release / f"data/{participant.mpid}/{entry.extract}.parquet"
        if entry.participant == participant.mpid and source.is_file():
            form = ReturnedForm(source, known.contracts[entry.extract], form_of(entry))
            came = _came_in(entry, form, participant.mpid)
            together = next((forms for met, forms in shared if met & came), None)
            if together is None:
                shared.append((came, [form]))
            else:
                together.append(form)
                next(met for met, forms in shared if forms is together).update(came)
    left: dict[str, ReturnedFlow] = {}
    for _, forms in shared:
        name = "-".join(form.contract.extract for form in forms)
        left |= write_form(
            forms,
            lambda relpath: place(f"data/{participant.mpid}/{relpath}"),
            name,
            known.job.model.cut,
            participant.mpid,
        )
    return left


def _counterparties(known: Context, release: Path, participant: Participant, place: Callable[[str], Path]) -> None:
    source = counterparties(known, participant)
    if source.is_file():
        target = place(f"data/{participant.mpid}/{COUNTERPARTIES}.parquet")
        with disk(target):
            target.unlink(missing_ok=True)  # of a run that was killed
            second_name(source, target)
    elif (release / f"data/{participant.mpid}/{AUGMENTED}.parquet").is_file():
        raise PlaceError(
            f"the counterparties of {participant.mpid} were written and are gone",
            where=str(source),
            remedy="see who removes files there, delete the work folder and run again",
        )


def _came_in(entry: InputEvidence, form: ReturnedForm, mpid: str) -> set[str]:
    """Return what an extract shares with those that go back in one file with it: DTC files of one flow."""
    if form.how.form != "dtc":
        return {entry.extract}
    flow = returned_flow(form, mpid)
    files = [file.hmac_sha256 for file in entry.files] or [entry.hmac_sha256]
    return {f"{flow} {digest}" for digest in files}
