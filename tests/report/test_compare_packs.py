"""Two cuts compared: what moved is found by how much it moved, and no value of few rows is ever shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from contracts.errors import EvidenceError
from flows.cli.main import build
from flows.keys.signing_key import Signer, load_signer, new_signing_key
from flows.pack.writer import PackWriter
from flows.report import drift as drifting
from flows.report.drift import compare
from tests.evidence.specimen import model, specimen

ROWS = 1000
Made = Callable[..., Path]


def mpans(start: int, count: int = ROWS) -> list[str]:
    return [f"10{number:011d}" for number in range(start, start + count)]


def frame(start: int = 0, **columns: list) -> pl.DataFrame:
    base = {
        "mpan_core": mpans(start),
        "profile_class": ["01"] * 600 + ["03"] * 395 + ["08"] * 5,
        "supplier_effective_from": [f"2023-01-{1 + n % 28:02d}" for n in range(ROWS)],
        "postcode": ["AB1 1AA"] * ROWS,
    }
    return pl.DataFrame(base | columns).with_columns(pl.col("supplier_effective_from").str.to_date())


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = tmp_path_factory.mktemp("keys")
    new_signing_key(folder / "k.pem", folder / "k.pub")
    return load_signer(folder / "k.pem")


@pytest.fixture
def make(tmp_path: Path, signer: Signer) -> Made:
    def pack(name: str, rows: pl.DataFrame, *, form: str = "parquet", seed: int = 1, **changes) -> Path:
        half = rows.height // 2
        with PackWriter(tmp_path / name) as writer:
            for who, part in (("EELC", rows[:half]), ("IPNL", rows[half:])):
                place = writer.path(f"data/{who}/registration.{form}")
                part.write_parquet(place) if form == "parquet" else part.write_csv(place)
            writer.path("report/index.html").write_bytes(b"x")
            return writer.seal({}, model(specimen(4, 0, seed, **changes)), [signer]).path

    return pack


def drift(before: Path, now: Path) -> dict[str, dict]:
    return {entry.column: entry for entry in compare(before, now).drift}


def test_a_pack_does_not_differ_from_itself(make: Made) -> None:
    pack = make("a", frame())
    found = compare(pack, pack)
    assert {entry.drift for entry in found.drift} == {0.0}
    assert {rule.way for rule in found.rules} == {"same"}
    assert not any(entry.moved for entry in found.drift)
    assert all(row.before.rows_in == row.now.rows_in for row in found.volumes)


def test_codes_drift_by_the_share_of_rows_that_moved(make: Made) -> None:
    moved = ["01"] * 400 + ["03"] * 595 + ["08"] * 5
    entry = drift(make("a", frame()), make("b", frame(5000, profile_class=moved)))["profile_class"]
    assert entry.measure == "codes"
    assert entry.drift == pytest.approx(0.2)
    assert entry.moved.value in ("01", "03")
    assert abs(entry.moved.before - entry.moved.now) == pytest.approx(0.2)


def test_a_value_of_few_rows_is_never_shown(make: Made) -> None:
    few = ["01"] * 600 + ["03"] * 391 + ["08"] * 9
    entry = drift(make("a", frame()), make("b", frame(profile_class=few)))["profile_class"]
    assert entry.drift == pytest.approx(0.004)
    assert entry.moved.value == "03"


def test_dates_drift_by_their_order(make: Made) -> None:
    later = frame().with_columns(pl.col("supplier_effective_from").dt.offset_by("1y"))
    entry = drift(make("a", frame()), make("b", later))["supplier_effective_from"]
    assert (entry.measure, entry.drift) == ("values", 1.0)
    one_day = frame().with_columns(pl.col("supplier_effective_from").dt.offset_by("1d"))
    assert drift(make("c", frame()), make("d", one_day))["supplier_effective_from"].drift < 0.05


def test_missing_values_are_a_value(make: Made) -> None:
    gaps = [None] * 250 + ["01"] * 350 + ["03"] * 395 + ["08"] * 5
    entry = drift(make("a", frame()), make("b", frame(profile_class=gaps)))["profile_class"]
    assert (entry.missing_before, entry.missing_now) == (0.0, 0.25)
    assert entry.drift == pytest.approx(0.25)


class TestIdentifiers:
    def test_other_pseudonyms_of_the_same_shape_do_not_drift(self, make: Made) -> None:
        entry = drift(make("a", frame()), make("b", frame(50_000)))["mpan_core"]
        assert (entry.measure, entry.drift, entry.shared) == ("identifiers", 0.0, 0)

    def test_one_key_for_two_cuts_shows(self, make: Made) -> None:
        entry = drift(make("a", frame()), make("b", frame(400)))["mpan_core"]
        assert entry.shared == 600

    def test_more_rows_under_one_identifier_drift(self, make: Made) -> None:
        doubled = mpans(0, 500) * 2
        entry = drift(make("a", frame()), make("b", frame(mpan_core=doubled)))["mpan_core"]
        assert entry.drift == 1.0

    @pytest.mark.requirement("Q67")
    def test_no_identifier_ever_reaches_the_result(self, make: Made) -> None:
        one, two = frame(), frame(mpan_core=["1012345678901"] * ROWS, postcode=["ZZ9 9ZZ"] * ROWS)
        found = json.dumps(compare(make("a", one), make("b", two)).document())
        for value in (*mpans(0), "1012345678901", "ZZ9 9ZZ", "AB1 1AA"):
            assert value not in found


def test_columns_that_came_or_went(make: Made) -> None:
    found = drift(make("a", frame()), make("b", frame().drop("postcode").with_columns(pl.lit(1).alias("extra"))))
    assert (found["postcode"].measure, found["postcode"].drift) == ("gone", None)
    assert (found["extra"].measure, found["extra"].drift) == ("new", None)


def test_a_pack_of_csv_against_one_of_parquet(make: Made) -> None:
    found = drift(make("a", frame(), form="csv"), make("b", frame()))
    assert {entry.drift for entry in found.values()} == {0.0}


def test_an_empty_side(make: Made) -> None:
    found = drift(make("a", frame()[:0]), make("b", frame()))
    assert {entry.drift for entry in found.values()} == {None}


def test_evidence_that_was_changed_is_refused(make: Made) -> None:
    one, two = make("a", frame()), make("b", frame())
    (two / "evidence/evidence.json").write_bytes(b"{}\n")
    for pair in ((one, two), (two, one), (one, two / "data")):
        with pytest.raises(EvidenceError):
            compare(*pair)


class TestCommand:
    def run(self, *arguments: object):
        return CliRunner().invoke(build(), ["compare", *map(str, arguments)])

    def test_words(self, make: Made) -> None:
        two = make("b", frame(profile_class=["03"] * ROWS), seed=2)
        done = self.run(make("a", frame()), two)
        assert done.exit_code == 0, done.output
        assert "registration.profile_class" in done.stdout
        assert "signatures not checked" in done.stdout
        assert "same key: pseudonyms can be linked" in done.stdout
        assert "registration.supplier_effective_from" not in done.stdout
        assert "registration.supplier_effective_from" in self.run(make("c", frame()), two, "--all").stdout

    def test_json(self, make: Made) -> None:
        done = self.run(make("a", frame()), make("b", frame()), "--json")
        document = json.loads(done.stdout)
        assert set(document) == {"packs", "volumes", "rules", "gone_rules", "drift", "verified"}
        assert document["verified"] is False

    def test_a_limit_that_was_passed(self, make: Made) -> None:
        one, two = make("a", frame()), make("b", frame(profile_class=["03"] * ROWS))
        done = self.run(one, two, "--tolerate", "0.5")
        assert done.exception.exit_code == 15
        assert "registration.profile_class" in done.exception.line()
        assert self.run(one, one, "--tolerate", "0.5").exit_code == 0

    def test_packs_are_verified_on_request(self, make: Made, tmp_path: Path, signer: Signer) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        key = signer._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "k.pub").write_bytes(key)
        one, two = make("a", frame()), make("b", frame())
        assert "both verified" in self.run(one, two, "--public-key", tmp_path / "k.pub").stdout
        (two / "data/EELC/registration.parquet").write_bytes(b"x")
        done = self.run(one, two, "--public-key", tmp_path / "k.pub")
        assert done.exception.exit_code == 18


def test_a_pack_that_changes_while_it_is_compared_is_refused(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    before, now = make("a", frame()), make("b", frame())
    file = now / "data/EELC/registration.parquet"

    def changed(old: Path, new: Path) -> drifting.PackComparison:
        found = compare(old, new)
        file.rename(now / "aside")
        (now / "aside").rename(file)
        return found

    monkeypatch.setattr(drifting, "compare", changed)
    done = CliRunner().invoke(build(), ["compare", str(before), str(now)])
    assert isinstance(done.exception, EvidenceError)
    assert "changed while it was read" in str(done.exception)
