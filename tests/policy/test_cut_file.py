"""``cut.yaml``: what does not exist is told with the entry that names it and what there is."""

from __future__ import annotations

import pytest

from contracts.errors import ConfigurationError
from flows.cut.config import load_cut

TEXT = """\
cut: {{id: T, date: 2023-08-19, key: cut.key}}
participants:
  - {{mpid: SUPA, role: {role}, extracts: [{{contract: {contract}, source: a.csv}}]}}
release: {{signing_key: signing.pem}}
"""


def fault(tmp_path, role="SUP", contract="portfolio") -> str:
    file = tmp_path / "cut.yaml"
    file.write_text(TEXT.format(role=role, contract=contract))
    with pytest.raises(ConfigurationError) as caught:
        load_cut(file)
    return caught.value.line()


def test_a_contract_that_does_not_exist(tmp_path):
    line = fault(tmp_path, contract="porfolio")
    assert "line 3: participant SUPA, extract porfolio, contract: there is no contract 'porfolio'" in line
    assert line.endswith(" (did you mean 'portfolio'?)")
    assert "there is no contract 'tariffs' (there are annual_consumption" in fault(tmp_path, contract="tariffs")


def test_a_role_that_does_not_exist(tmp_path):
    """What a participant gets back depends on its role; a misspelt one would get nothing, in silence."""
    line = fault(tmp_path, role="Supplier")
    known = "ADS, DC, ELEXON, LDSO, LSS, MDS, MOP, MSA, MSS, REGS, SDS, SUP, UMSDS, UMSO"
    assert f"participant SUPA, role: there is no role 'Supplier' (there are {known})" in line


@pytest.mark.parametrize("entry", ["role", "contract"])
def test_digits_in_place_of_a_name_are_not_repeated(tmp_path, entry):
    assert "1012345678901" not in fault(tmp_path, **{entry: '"1012345678901"'})


def test_roles_are_taken_in_any_case(tmp_path):
    file = tmp_path / "cut.yaml"
    file.write_text(TEXT.format(role="sup", contract="portfolio"))
    assert load_cut(file).model.participants[0].role == "sup"
