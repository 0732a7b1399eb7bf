"""The whole job on real-shaped backups: balanced, the same bytes whatever the way there, and without a network."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
from pathlib import Path

import polars as pl
import pytest

from flows.sample import SampleRequest, generate
from tests.command import datacut, datacut_process
from tests.pipeline.conftest import digests
from tests.pipeline.frozen import FROZEN, stated
from tests.small_cut import EVERY_EXTRACT, FEWEST, keep_participants


@pytest.fixture(scope="session")
def undisturbed(pristine, tmp_path_factory) -> Path:
    """Return the pack of a plain run in one partition, with everything on its way."""
    from flows.pipeline import run_plain

    folder = tmp_path_factory.mktemp("undisturbed") / "cut"
    shutil.copytree(pristine, folder)
    return Path(run_plain(folder / "cut.yaml").pack)


@pytest.fixture(scope="session")
def fewer(pristine, tmp_path_factory) -> Path:
    """Return the pack of such a run of fewer participants, each extract once, for what costs many times as much."""
    from flows.pipeline import run_plain

    folder = tmp_path_factory.mktemp("fewer") / "cut"
    shutil.copytree(pristine, folder)
    return Path(run_plain(keep_participants(folder, EVERY_EXTRACT)).pack)


def evidence(pack: Path) -> dict:
    return json.loads((pack / "evidence" / "evidence.json").read_text())


@pytest.mark.requirement("Q48")
def test_no_row_is_lost(undisturbed):
    """Rows in = released + excluded for every extract, and as many rows lie in the files."""
    accounting = evidence(undisturbed)["accounting"]
    assert len(accounting) == 14
    for row in accounting:
        assert row["rows_in"] == row["released"] + row["excluded"]
        assert sum(row["by_reason"].values()) == row["excluded"]
        name = f"{row['participant']}/{row['extract']}.parquet"
        assert pl.scan_parquet(undisturbed / "data" / name).select(pl.len()).collect().item() == row["released"]
        assert pl.scan_parquet(undisturbed / "excluded" / name).select(pl.len()).collect().item() == row["excluded"]


@pytest.mark.requirement("Q48")
def test_an_excluded_metering_point_is_in_no_extract_of_anybody(undisturbed):
    gone = pl.concat(
        [pl.read_parquet(p).select("mpan_core", "first_cause") for p in (undisturbed / "excluded").rglob("*.parquet")]
    ).drop_nulls("mpan_core")
    assert gone.height > 100
    assert gone.filter(pl.col("first_cause").is_null() | (pl.col("first_cause") == "")).is_empty()
    for path in (undisturbed / "data").rglob("*.parquet"):
        columns = pl.read_parquet_schema(path)
        name = "mpan_core" if "mpan_core" in columns else "mpan"
        if name in columns:
            left = pl.read_parquet(path, columns=[name])
            assert left.join(gone, left_on=name, right_on="mpan_core", how="semi").is_empty(), path.name


@pytest.mark.requirement("Q74")
def test_a_run_says_what_it_said(undisturbed):
    """Each table, each file and each section of the evidence is as it was frozen, on this machine as on any."""
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))
    found = stated(undisturbed)
    changed = sorted(part for part in frozen.keys() | found if frozen.get(part) != found.get(part))
    assert not changed, "meant? python -m tests.pipeline.frozen writes them anew"


@pytest.mark.requirement("Q53", "Q57")
def test_cit_and_sit_share_no_metering_point(undisturbed):
    given = pl.concat([pl.read_parquet(p) for p in (undisturbed / "data").rglob("allocations.parquet")]).unique()
    assert set(given["phase"]) == {"CIT", "SIT"}
    assert given.height > 50
    both = given.group_by("mpan_core").agg(pl.col("phase").n_unique(), pl.col("test_case").n_unique())
    assert both["phase"].max() == 1
    assert both["test_case"].max() == 1


@pytest.mark.requirement("Q74")
def test_payload_does_not_depend_on_partitions(cut, undisturbed):
    from flows.pipeline import run_plain

    cut.write_text(cut.read_text() + "\npartitions: 7\n")
    assert digests(Path(run_plain(cut).pack)) == digests(undisturbed)


@pytest.mark.slow
@pytest.mark.requirement("Q74")
def test_payload_does_not_depend_on_many_partitions(cut, fewer):
    from flows.pipeline import run_plain

    keep_participants(cut.parent, EVERY_EXTRACT)
    cut.write_text(cut.read_text() + "\npartitions: 20\n")
    assert digests(Path(run_plain(cut).pack)) == digests(fewer)


def test_payload_does_not_depend_on_the_order_of_rows(cut, undisturbed):
    from flows.pipeline import run_plain

    for name in ("EELC/registration.csv", "YELG/registration.csv", "MOPB/metering.csv", "SUPB/portfolio.tsv"):
        head, *rows = (cut.parent / name).read_bytes().splitlines(keepends=True)
        random.Random(5).shuffle(rows)
        (cut.parent / name).write_bytes(head + b"".join(rows))
    assert digests(Path(run_plain(cut).pack)) == digests(undisturbed)


def test_running_again_gives_the_same_bytes(undisturbed, tmp_path):
    """In the place of the first run, with its ledger, its pool and its packs."""
    shutil.copytree(undisturbed.parents[1], tmp_path / "again")
    done = datacut("run", tmp_path / "again" / "cut.yaml", "--plain", "--json")
    assert done.code == 0, done.err
    pack = Path(json.loads(done.out)["pack"])
    assert digests(pack) == digests(undisturbed)
    left = [p.name for p in pack.parent.iterdir() if p.is_dir() and "-return-" not in p.name]
    assert left == [undisturbed.name]


@pytest.mark.slow
@pytest.mark.requirement("Q67")
def test_under_prefect_and_without_any_network_the_same_bytes(cut, undisturbed):
    """Where one can be taken away: an empty network namespace with loopback alone; and in more threads than CI has."""
    alone = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')
    possible = shutil.which("unshare") is not None and os.geteuid() == 0
    done = datacut_process("run", cut, "--json", before=alone if possible else (), POLARS_MAX_THREADS="4")
    assert done.code == 0, done.err
    pack = Path(json.loads(done.out)["pack"])
    assert digests(pack) == digests(undisturbed)
    names = {step["stage"].split(":")[0] for step in evidence(pack)["times"]["stages"]}
    assert {"quality", "align", "augment", "ring-fence", "release"} <= names  # the last step writes the evidence


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.timeout(600)
def test_on_two_dask_workers_the_same_bytes(cut, fewer):
    pytest.importorskip("prefect_dask")
    keep_participants(cut.parent, EVERY_EXTRACT)
    cut.write_text(cut.read_text() + "\npartitions: 7\n")
    done = datacut_process("run", cut, "--json", "--workers", "2")
    assert done.code == 0, done.err
    assert digests(Path(json.loads(done.out)["pack"])) == digests(fewer)


@pytest.mark.slow
@pytest.mark.requirement("Q67")
def test_a_proxy_of_the_environment_hears_nothing(tmp_path):
    """What goes to the temporary server carries its token, and a proxy could not reach loopback anyway."""
    generate(SampleRequest(60, 4, 0.0), tmp_path / "cut")
    cut, heard = keep_participants(tmp_path / "cut", FEWEST), []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.2)
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        done = datacut_process("run", cut, HTTP_PROXY=url, http_proxy=url, ALL_PROXY=url, all_proxy=url)
        with contextlib.suppress(TimeoutError):  # connections wait in the queue until somebody takes them
            heard.append(proxy.accept())
    assert done.code == 0, done.err
    assert heard == []


@pytest.mark.requirement("Q67")
def test_analytics_are_off_before_anything_loads():
    import flows  # noqa: F401

    assert os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
