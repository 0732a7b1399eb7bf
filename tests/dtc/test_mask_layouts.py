"""Every published layout and every flow of the field is masked: what the policy names, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from flows.dtc.mask import Request, Rules, mask_flows
from tests.dtc import flow_files
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

KEYS = FieldKeys(bytes(range(32)), "CASE-1")
FIELDS = {"mpan": Field.MPAN, "meter_serial": Field.METER_SERIAL, "esme_id": Field.ESME_ID}


@pytest.fixture(scope="module")
def rules() -> Rules:
    catalogue = flow_files.PUBLISHED.read_text(encoding="utf-8")
    policy = flow_files.POLICY.read_text(encoding="utf-8")
    return Rules.read(catalogue, policy, catalogue_name="catalogue", policy_name="policy")


@pytest.fixture(scope="module")
def pseudonymiser() -> Pseudonymiser:
    return Pseudonymiser(KEYS, lists=scheme_lists())


def masked(rules, pseudonymiser, inputs: list[Path], out: Path, *, blank_unknown: bool = False):
    request = Request(inputs, out, rules, blank_unknown, "TR01", KEYS.fingerprint(), None)
    return mask_flows(request, pseudonymiser)


def hold(found: flow_files.Compared, out: bytes, pseudonymiser) -> None:
    """See that every raw value of the policy's items is gone, and that identifiers have the scheme's pseudonyms."""
    assert found.wrong == []
    for kind, pairs in found.pairs.items():
        for was, now in pairs:
            assert len(was.strip()) < 2 or was.strip() != now  # a constant of one letter may be what it was
            if len(was) > 7 and kind != "reference":
                assert was.encode() not in out
        if kind in FIELDS:
            known = pseudonymiser.values(FIELDS[kind], pl.Series([was for was, _ in pairs]))
            for (_, now), wanted in zip(pairs, known, strict=True):
                assert wanted is None or now in {wanted, ""} or set(now) == {"0"}


@pytest.mark.requirement("Q61", "Q58")
@pytest.mark.parametrize("seed", [1, 2])
def test_every_layout_is_parsed_masked_and_written(tmp_path, rules, pseudonymiser, seed):
    choice = random.Random(seed)
    keys = sorted(flow_files.published())
    assert len(keys) == 206
    raw = {f"{flow}{version}.usr": flow_files.make((flow, version), choice) for flow, version in keys}
    (tmp_path / "in").mkdir()
    for name, text in raw.items():
        (tmp_path / "in" / name).write_bytes(text)
    report = masked(rules, pseudonymiser, [tmp_path / "in"], tmp_path / "out")
    assert len(report.files) == 206
    kind_of = flow_files.kinds()
    kinds = set()
    for name, text in raw.items():
        out = (tmp_path / "out" / name).read_bytes()
        found = flow_files.compare(text, out, kind_of)
        hold(found, out, pseudonymiser)
        kinds |= set(found.pairs)
    assert kinds == set(flow_files.policy()["items"].values()) - {"keep"}


@pytest.mark.requirement("Q61")
@pytest.mark.parametrize("case", sorted(flow_files.CASES.iterdir()), ids=lambda path: path.name)
def test_every_flow_of_the_field_is_masked(tmp_path, rules, pseudonymiser, case):
    masked(rules, pseudonymiser, [case], tmp_path / "out")
    out = (tmp_path / "out" / case.name).read_bytes()
    found = flow_files.compare(case.read_bytes(), out, flow_files.kinds())
    assert found.pairs["mpan"]
    hold(found, out, pseudonymiser)


@pytest.mark.requirement("Q58")
def test_one_mpan_has_one_pseudonym_in_all_flows(tmp_path, rules, pseudonymiser):
    core = "2064385657041"
    (tmp_path / "in").mkdir()
    flows = {"D0010002": f"026|{core}|V|", "D0052001": f"121|{core}|20230101|01|20230101|A|20230101|"}
    for label, record in flows.items():
        text = f"ZHV|1|{label}|M|MOPA|D|DCOL|20230819020000||||OPER|\n{record}\nZPT|1|1||1|20230819020001|\n"
        (tmp_path / "in" / label).write_text(text)
    masked(rules, pseudonymiser, [tmp_path / "in"], tmp_path / "out")
    wanted = pseudonymiser.values(Field.MPAN, pl.Series([core])).item()
    for label in flows:
        assert (tmp_path / "out" / label).read_text().splitlines()[1].split("|")[1] == wanted


@pytest.mark.parametrize("block", [64, 300, 5_000])
def test_blocks_of_any_size_give_the_same_files(tmp_path, rules, pseudonymiser, block, monkeypatch):
    choice = random.Random(3)
    (tmp_path / "in").mkdir()
    for number, key in enumerate([("D0150", "002"), ("D0010", "002"), ("D0217", "002"), ("D0225", "002")] * 5):
        text = flow_files.make(key, choice)
        ending = (b"\n", b"\r\n", b"")[number % 3]
        text = text.rstrip(b"\n").replace(b"\n", b"\r\n" if ending == b"\r\n" else b"\n") + ending
        (tmp_path / "in" / f"{number:02d}.usr").write_bytes(text)
    masked(rules, pseudonymiser, [tmp_path / "in"], tmp_path / "whole")
    monkeypatch.setattr("flows.dtc.mask.BLOCK", block)
    monkeypatch.setattr("flows.dtc.files.CHUNK", block)
    masked(rules, pseudonymiser, [tmp_path / "in"], tmp_path / "parts")
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes()
