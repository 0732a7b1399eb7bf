"""What a person gets wrong in ``cut.yaml``: one line a mistake, with its line, its place and what was likely meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from flows.cut.config import load_cut

# a file of its own, so that the line numbers stand when the sample grows
SAMPLE = Path(__file__).with_name("cut.yaml")
SOURCE = "source: {path: SUPA/portfolio.csv.gz, cut_date: 2023-08-19}"
SUPA = f"      - {{contract: portfolio, {SOURCE}}}"

# what is written -> what stands there instead; what is told, whole, but for the file's name
MISTAKES = {
    "a misspelt entry": ("{path: SUPA/portfolio", "{pth: SUPA/portfolio", [
        "line 32: participant SUPA, extract portfolio, source.pth: is not known here (did you mean 'path'?)"]),
    "a misspelt entry that must be there": ("signing_key:", "signing_keys:", [
        "line 67: release.signing_keys: is not known here (did you mean 'signing_key'?)"]),
    "a misspelt section": ("\nparticipants:", "\nparticipant:", [
        "line 16: participant: is not known here (did you mean 'participants'?)"]),
    "hyphen for underscore": ("ring_fence:", "ring-fence:", [
        "line 60: ring-fence: is not known here (did you mean 'ring_fence'?)"]),
    "an entry in capitals": ("  scheme: 1", "  SCHEME: 1", [
        "line 7: cut.SCHEME: is not known here (did you mean 'scheme'?)"]),
    "an entry of another section": ("  scheme: 1", "  compare_with: old\n  scheme: 1", [
        "line 7: cut.compare_with: is not known here, it belongs under release"]),
    "an entry moved out of its section": (
        r"release:\n(.*\n.*\n)  signing_key: .*\n", r"signing_key: k.pem\nrelease:\n\1", [
            "line 64: signing_key: is not known here, it belongs under release"]),
    "a policy at the top": ("release:\n", "policy: {postcode: area}\nrelease:\n", [
        "line 64: policy: is not known here, it belongs under cut"]),
    "an entry that is gone": (r"  signing_key: keys/signing.pem.*\n", "", ["line 64: release.signing_key: is missing"]),
    "a small MPID": ("mpid: SUPA", "mpid: supa", [
        "line 29: participant supa, mpid: must be an MPID: four capital letters or digits"]),
    "an MPID that YAML takes for a number": ("mpid: SUPA", "mpid: 1234", [
        "line 29: participant 4, mpid: must be text: put it in quotes"]),
    "a role nobody has": ("mpid: SUPA\n    role: SUP", "mpid: SUPA\n    role: SUPP", [
        "line 30: participant SUPA, role: there is no role 'SUPP' (did you mean 'SUP'?)"]),
    "two participants with one mistake": ("role: LDSO", "role: DNO", [
        "line 18 (and 22, 26): participant EELC, role: there is no role 'DNO' "
        "(there are ADS, DC, ELEXON, LDSO, LSS, MDS, MOP, MSA, MSS, REGS, SDS, SUP, UMSDS, UMSO)"]),
    "no such contract": ("contract: bmu_mapping", "contract: bmu_mappings", [
        "line 58: participant ELEX, extract bmu_mappings, contract: "
        "there is no contract 'bmu_mappings' (did you mean 'bmu_mapping'?)"]),
    "a list without its dash": (SUPA, SUPA.replace("- {", "{"), [
        "line 31: participant SUPA, extracts: must be a list"]),
    "a word for an extract": (SUPA, "      - portfolio", [
        "line 32: participant SUPA, extract 1: must be a map of entries ('name: value')"]),
    "an empty source": (SOURCE, "source: ", ["line 32: participant SUPA, extract portfolio, source: is empty"]),
    "a list for a source": (SOURCE, "source: [[a]]", None),
    "a delimiter in another word": ("delimiter: tab", "delimiter: tabulator", [
        "line 36: participant SUPB, extract portfolio, source.delimiter: must be auto, comma, tab or pipe"]),
    "a British date": ("  date: 2023-08-19", "  date: 19/08/2023", ["line 6: cut.date: must be a date as 2023-08-19"]),
    "a day that is none": ("  date: 2023-08-19", "  date: 2023-02-30", ["line 6: cut.date: there is no such day"]),
    "a time for a day": ("  date: 2023-08-19", "  date: 12:30", [
        "line 6: cut.date: is a number to base 60 in YAML: put it in quotes"]),
    "a scheme to come": ("scheme: 1", "scheme: 2", ["line 7: cut.scheme: must be 1"]),
    "a trust model": ("si-central ", "si_central ", [
        "line 8: cut.trust_model: must be si-central or shared-key"]),
    "one format for a list": ("formats: [parquet]", "formats: parquet", ["line 66: release.formats: must be a list"]),
    "formats that are none": ("formats: [parquet]", "formats: [xlsx, json]", [
        "line 66: release, format 1: must be parquet or csv", "line 66: release, format 2: must be parquet or csv"]),
    "recipients in a word": ("recipients: all", "recipients: everybody", [
        "line 68: release.recipients: must be all or a list"]),
    "no partition": ("ring_fence:", "partitions: 0\nring_fence:", ["line 60: partitions: must be at least 1"]),
    "half a partition": ("ring_fence:", "partitions: 1.5\nring_fence:", [
        "line 60: partitions: must be a whole number"]),
    "a number for a path": ("ring_fence:", "work: 12\nring_fence:", ["line 60: work: must be a path"]),
    "a pack without its key": ("{path: SUPA/portfolio.csv.gz", "{pack: SUPA", [
        "line 32: participant SUPA, extract portfolio, source: pack and public_key go together"]),
    "a risk that is more than all": (
        "  scheme: 1", "  policy: {risk: {thresholds: {marketer: 2}}}\n  scheme: 1", [
            "line 7: cut.policy.risk.thresholds.marketer: must be at most 1.0"]),
    "a threshold of one's own": (
        "  scheme: 1", "  policy: {risk: {thresholds: {max: 1}}}\n  scheme: 1", [
            "line 7: cut.policy.risk.thresholds.max: must be prosecutor_max, prosecutor_mean or marketer"]),
    "an id with blanks": ("id: SAMPLE-2023-08-19", "id: first cut", [
        "line 5: cut.id: must be 1 to 64 letters, digits, dots, hyphens and underscores, no dot first"]),
    "a line that is indented too far": ("  scheme: 1", "    scheme: 1", [
        "line 7: is not valid YAML (an indentation that does not fit, or a bracket or quote that is not closed)"]),
    "a tab": ("  scheme: 1", "\tscheme: 1", [
        "line 7: is not valid YAML (a tab, or a character that must be in quotes)"]),
    "a bracket that is not closed": ("formats: [parquet]", "formats: [parquet", [
        "line 67: is not valid YAML (a bracket that is not closed, or a comma that is missing)"]),
    "an entry twice": ("mpid: SUPA", "mpid: SUPA\n    mpid: SUPA", [
        "line 30: participant SUPA, mpid: an entry 'mpid' appears twice"]),
}  # fmt: skip


def told(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "cut.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_cut(file)
    assert "\n" not in caught.value.line()
    return caught.value.line().removeprefix(f"{file}: ").split("; line ")


@pytest.mark.parametrize(("good", "bad", "lines"), MISTAKES.values(), ids=MISTAKES)
def test_one_mistake_is_one_line(tmp_path, good, bad, lines):
    text = SAMPLE.read_text()
    changed = text.replace(good, bad) if good in text else re.sub(good, bad, text)
    assert changed != text
    found = told(tmp_path, changed)
    if lines is None:
        assert len(found) == 1
    else:
        assert ["line " + line.removeprefix("line ") for line in found] == lines


def test_all_mistakes_at_once_in_the_order_of_their_lines(tmp_path):
    text = SAMPLE.read_text()
    for good, bad in (("scheme: 1", "scheme: 2"), ("mpid: SUPA", "mpid: supa"), ("formats: [parquet]", "formats: xlsx"),
                      ("{path: DCOL", "{pth: DCOL"), ("  plan:", "  plans:")):  # fmt: skip
        text = text.replace(good, bad)
    numbers = [int(re.match(r"(?:line )?(\d+)", line)[1]) for line in told(tmp_path, text)]  # type: ignore[index]
    assert numbers == [7, 29, 54, 61, 66]


@pytest.mark.parametrize("value", ["1012345678901", "10 1234 5678 901", "AB1 2CD", "12 High Street"])
@pytest.mark.parametrize("place", ["scheme: 1", "mpid: SUPA", "role: LDSO", "contract: register", "tab"])
def test_a_value_or_name_that_may_be_an_identifier_is_never_repeated(tmp_path, place, value):
    name, colon, _ = place.partition(":")
    text = SAMPLE.read_text()
    for bad in (f'{name}: "{value}"' if colon else f'"{value}"', f'"{value}": x' if colon else f'"{value}"'):
        assert value not in " ".join(told(tmp_path, text.replace(place, bad)))


def test_many_mistakes_are_cut_short(tmp_path):
    text = SAMPLE.read_text() + "".join(f"x{n:03d}: 1\n" for n in range(120))
    assert told(tmp_path, text)[-1].endswith("; and 100 more")


def test_anchors_and_merged_maps_serve_where_they_stay_small(tmp_path):
    text = SAMPLE.read_text().replace(SOURCE, "source: {<<: &common {cut_date: 2023-08-19}, path: a.csv}")
    text = text.replace("{path: SUPB/portfolio.tsv, form: csv, delimiter: tab, cut_date: 2023-08-19}",
                        "{<<: *common, path: SUPB/portfolio.tsv}")  # fmt: skip
    file = tmp_path / "cut.yaml"
    file.write_text(text)
    participants = load_cut(file).model.participants
    assert participants[4].extracts[0].source.cut_date == participants[0].extracts[0].source.cut_date
