"""Reads what a cut has to answer (``requirements.yaml``, ``questions.yaml``) and the words of its impact assessment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.documents.questions import QuestionNode, QuestionsDocument
from contracts.documents.requirements import AssessmentDocument, RequirementsDocument
from contracts.load import read_document

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.yaml"
QUESTIONS = HERE / "questions.yaml"
DPIA = HERE / "dpia.yaml"
_TEXTS = ("purpose", "controller", "lawful_basis", "retention", "recipients")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One obligation.

    Attributes:
        id: Q, R or DQ number.
        asks: what the source asks for, in one sentence.
        sections: parts of the report that show the answer.
        test_only: shown by the product's tests, not by a run.
    """

    id: str
    asks: str
    sections: tuple[str, ...] = ()
    test_only: bool = False


@dataclass(frozen=True, slots=True)
class TreatmentWords:
    """Why a treatment is right for its columns, and what risk it leaves."""

    treatment: str
    basis: str
    residual_risk: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """The words of the impact assessment; ``texts`` has purpose, controller, lawful basis, retention, recipients."""

    texts: Mapping[str, str]
    treatments: tuple[TreatmentWords, ...]
    measures: tuple[str, ...]

    def words(self, treatment: str) -> TreatmentWords | None:
        """Return the entry for a treatment as contracts describe it; the exact one, else its method's."""
        by_name = {entry.treatment: entry for entry in self.treatments}
        return by_name.get(treatment) or by_name.get(treatment.partition(" ")[0])


@cache
def requirements(path: Path = REQUIREMENTS) -> tuple[Requirement, ...]:
    """Read the obligations in their order.

    Raises:
        ContractError: the file is wrong, or an id stands twice.
    """
    document, _ = read_document(path, RequirementsDocument, RequirementsDocument.faults)
    return tuple(
        Requirement(entry.id, entry.asks, tuple(entry.sections), entry.test_only) for entry in document.requirements
    )


@cache
def questions(path: Path = QUESTIONS) -> tuple[QuestionNode, ...]:
    """Read what an assurance provider asks, and which facts of the evidence answer.

    Raises:
        ContractError: the file is wrong.
    """
    document, _ = read_document(path, QuestionsDocument)
    return tuple(document.questions)


@cache
def assessment(path: Path = DPIA) -> Assessment:
    """Read the words of the impact assessment.

    Raises:
        ContractError: the file is wrong.
    """
    document, _ = read_document(path, AssessmentDocument)
    return Assessment(
        texts=MappingProxyType({name: getattr(document, name) for name in _TEXTS}),
        treatments=tuple(TreatmentWords(e.treatment, e.basis, e.residual_risk) for e in document.treatments),
        measures=tuple(document.measures),
    )
