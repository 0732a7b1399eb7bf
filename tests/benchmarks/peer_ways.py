"""The same work done by each tool, a process each: started by ``peers``, with the interpreter that has the tool.

    python tests/benchmarks/peer_ways.py WAY IN.csv OUT.parquet

Reads ``row, mpan_core, meter_serial_number, address_line_1..9, postcode`` and writes ``row``, the two identifiers and
whatever stands for the address. Every way is written as its library invites to, and gets what helps it: an address is
one text and one hash to all but ours, and the MPAN's distributor and check digit are taken care of by hand where a hash
gives digits at all. Prints a line of JSON: seconds and CPU seconds from the file to the file, imports left out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEY = bytes(range(32))
TEXT_KEY = "datacut-benchmark-key-of-32-byte"  # for libraries that take text alone
MPAN, SERIAL = "mpan_core", "meter_serial_number"
LINES = [f"address_line_{n}" for n in range(1, 10)]
ADDRESS = [*LINES, "postcode"]
WEIGHTS = (3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43)
DIGITS, SERIAL_ALPHABET = "0123456789", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Work = Callable[[Path, Path], None]


def ours() -> Work:
    """Scheme 1, batch by batch, as the anonymise stage applies it."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import polars as pl
    import pyarrow.parquet as pq

    from contracts.scheme import scheme_lists
    from contracts.vocabulary import Field
    from transforms.pseudonymise import mpan
    from transforms.pseudonymise.keys import FieldKeys
    from transforms.pseudonymise.pseudonymiser import Pseudonymiser

    def work(source: Path, out: Path) -> None:
        pseudonymiser, writer = Pseudonymiser(FieldKeys(KEY, "benchmark"), lists=scheme_lists()), None
        for batch in pl.scan_csv(source, infer_schema=False).collect_batches(chunk_size=131_072, maintain_order=True):
            whole = batch.rechunk()
            hidden = pl.DataFrame(
                [
                    whole["row"],
                    pseudonymiser.values(Field.MPAN, mpan.normalise(whole[MPAN])),
                    pseudonymiser.values(Field.METER_SERIAL, whole[SERIAL]),
                    *pseudonymiser.addresses(whole.select(ADDRESS)),
                ]
            ).to_arrow()
            writer = writer or pq.ParquetWriter(out, hidden.schema, compression="zstd")
            writer.write_table(hidden)
        if writer:
            writer.close()

    return work


def token(value: str) -> str:
    """Return 32 hex digits, or nothing for nothing."""
    return hmac.digest(KEY, value.encode(), "sha256").hex()[:32]


def mpan_by_hmac(value: str) -> str:
    """Return a distributor id, ten digits of a keyed hash and a check digit: what can be written by hand."""
    body = int.from_bytes(hmac.digest(KEY, value.encode(), "sha256")[:8], "big") % 10**10
    twelve = f"{value[:2]}{body:010d}"
    return twelve + str(sum(int(d) * w for d, w in zip(twelve, WEIGHTS, strict=True)) % 11 % 10)


def _pandas_frame(source: Path) -> Any:
    import pandas as pd

    frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    frame["address"] = frame[ADDRESS[0]].str.cat([frame[c] for c in ADDRESS[1:]], sep=" ")
    return frame[["row", MPAN, SERIAL, "address"]]


def pandas_hmac() -> Work:
    """Read with pandas, ``hmac`` a row at a time."""
    import pandas  # noqa: F401 - imports do not count

    def work(source: Path, out: Path) -> None:
        frame = _pandas_frame(source)
        frame[MPAN] = frame[MPAN].map(mpan_by_hmac)
        frame[SERIAL] = frame[SERIAL].map(token)
        frame["address"] = frame["address"].map(token)
        frame.to_parquet(out, compression="zstd", index=False)

    return work


def _polars_frame(source: Path) -> Any:
    import polars as pl

    address = pl.concat_str([pl.col(c).fill_null("") for c in ADDRESS], separator=" ").alias("address")
    return pl.scan_csv(source, infer_schema=False).select("row", MPAN, SERIAL, address)


def polars_map_elements() -> Work:
    """Polars with ``hmac`` in ``map_elements``."""
    import polars as pl

    def work(source: Path, out: Path) -> None:
        _polars_frame(source).with_columns(
            pl.col(MPAN).map_elements(mpan_by_hmac, return_dtype=pl.String),
            pl.col(SERIAL, "address").map_elements(token, return_dtype=pl.String),
        ).sink_parquet(out, compression="zstd")

    return work


def polars_hash() -> Work:
    """HMAC by a column function, streaming; digits and check digit by expressions."""
    import polars as pl
    import polars_hash as plh

    def keyed(name: str) -> Any:
        return plh.col(name).chash.hmac_sha256(key=TEXT_KEY)

    def work(source: Path, out: Path) -> None:
        body = keyed(MPAN).str.head(15).str.to_integer(base=16, dtype=pl.Int64) % 10**10
        twelve = pl.col(MPAN).str.head(2).cast(pl.Int64) * 10**10 + body
        total = pl.sum_horizontal(pl.col("twelve") // 10 ** (11 - n) % 10 * w for n, w in enumerate(WEIGHTS))
        whole = pl.col("twelve") * 10 + total % 11 % 10
        frame = _polars_frame(source).with_columns(
            twelve.alias("twelve"), *(keyed(c).str.head(32).alias(c) for c in (SERIAL, "address"))
        )
        frame.select("row", whole.cast(pl.String).str.zfill(13).alias(MPAN), SERIAL, "address").sink_parquet(
            out, compression="zstd"
        )

    return work


def _maskops(change: Callable[[Any], Any]) -> Work:
    def work(source: Path, out: Path) -> None:
        _polars_frame(source).with_columns(change(c) for c in (MPAN, SERIAL, "address")).sink_parquet(
            out, compression="zstd"
        )

    return work


def maskops_consistent() -> Work:
    """The Polars plugin's keyed masking of what it recognises."""
    import maskops

    return _maskops(lambda column: maskops.mask_pii(column, mode="consistent", salt=TEXT_KEY))


def maskops_ff1() -> Work:
    """The Polars plugin's FF1 of what it recognises."""
    import maskops

    return _maskops(lambda column: maskops.mask_pii_fpe(column, KEY, b"mpan-01", mode="ff1"))


def _in_place(encrypt: Callable[[str], str], alphabet: str) -> Callable[[str], str]:
    """Return the encryption of the characters of an alphabet; others, which the libraries refuse, stay in place."""

    def hidden(value: str) -> str:
        value = value.upper()
        letters = iter(encrypt("".join(c for c in value if c in alphabet)))
        return "".join(next(letters) if c in alphabet else c for c in value)

    return hidden


def _by_value(mpan: Callable[[str], str], serial: Callable[[str], str]) -> Work:
    """Format-preserving functions a value at a time; such a library has nothing for an address: hashed."""

    def work(source: Path, out: Path) -> None:
        import pandas as pd

        frame = _pandas_frame(source)
        hidden = {
            "row": frame["row"],
            MPAN: [mpan(value) for value in frame[MPAN]],
            SERIAL: [serial(value) for value in frame[SERIAL]],
            "address": [token(value) for value in frame["address"]],
        }
        pd.DataFrame(hidden).to_parquet(out, compression="zstd", index=False)

    return work


def fastfpe() -> Work:
    """FF1 in Rust, a call a value."""
    import pandas  # noqa: F401
    from fastfpe import ff1

    key = KEY.hex()
    return _by_value(
        _in_place(lambda value: ff1.encrypt(key, "", DIGITS, value), DIGITS),
        _in_place(lambda value: ff1.encrypt(key, "", SERIAL_ALPHABET, value), SERIAL_ALPHABET),
    )


def ff3() -> Work:
    """FF3-1 in Python, a call a value."""
    import pandas  # noqa: F401
    from ff3 import FF3Cipher

    tweak = "d8e7920afa330a"
    digits = FF3Cipher(KEY.hex(), tweak)
    letters = FF3Cipher.withCustomAlphabet(KEY.hex(), tweak, SERIAL_ALPHABET)
    return _by_value(_in_place(digits.encrypt, DIGITS), _in_place(letters.encrypt, SERIAL_ALPHABET))


def aindo() -> Work:
    """Keyed hashing of pandas columns."""
    from aindo.anonymize.techniques import KeyHashing

    def work(source: Path, out: Path) -> None:
        frame, hashing = _pandas_frame(source), KeyHashing(TEXT_KEY)
        for column in (MPAN, SERIAL, "address"):
            frame[column] = hashing.anonymize(frame[[column]])[column]
        frame.to_parquet(out, compression="zstd", index=False)

    return work


def presidio_structured() -> Work:
    """Presidio's engine for tables, hash operator with a salt of ours."""
    from presidio_anonymizer.entities import OperatorConfig
    from presidio_structured import StructuredAnalysis, StructuredEngine

    def work(source: Path, out: Path) -> None:
        operators = {"DEFAULT": OperatorConfig("hash", {"salt": TEXT_KEY})}
        analysis = StructuredAnalysis(entity_mapping={MPAN: "MPAN", SERIAL: "SERIAL", "address": "LOCATION"})
        hidden = StructuredEngine().anonymize(_pandas_frame(source), analysis, operators)
        hidden.to_parquet(out, compression="zstd", index=False)

    return work


def presidio_anonymizer() -> Work:
    """Presidio's anonymizer, a call a cell, the whole cell an entity."""
    import pandas  # noqa: F401
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.entities import OperatorConfig, RecognizerResult

    engine, operators = AnonymizerEngine(), {"DEFAULT": OperatorConfig("hash", {"salt": TEXT_KEY})}

    def hidden(value: str) -> str:
        if not value:
            return value
        return engine.anonymize(value, [RecognizerResult("CELL", 0, len(value), 1.0)], operators).text

    def work(source: Path, out: Path) -> None:
        frame = _pandas_frame(source)
        for column in (MPAN, SERIAL, "address"):
            frame[column] = [hidden(value) for value in frame[column]]
        frame.to_parquet(out, compression="zstd", index=False)

    return work


def postgresql_pgcrypto() -> Work:
    """``hmac`` of the pgcrypto extension in a server of its own: loaded by COPY, hashed by SQL, written by COPY."""
    import polars as pl

    binaries = Path(os.environ["PG_BINARIES"])
    user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
    digits = "(('x' || left(encode(hmac(mpan_core, :'k', 'sha256'), 'hex'), 15))::bit(60)::bigint % 10000000000)"
    twelve = f"left(mpan_core, 2) || lpad({digits}::text, 10, '0')"
    total = " + ".join(f"substr(t, {n + 1}, 1)::int * {w}" for n, w in enumerate(WEIGHTS))
    one_text = " || ' ' || ".join(f"coalesce({c}, '')" for c in ADDRESS)
    hashes = ", ".join(
        f"left(encode(hmac({value}, :'k', 'sha256'), 'hex'), 32) AS {name}"
        for name, value in ((SERIAL, SERIAL), ("address", one_text))
    )

    place = tempfile.TemporaryDirectory(prefix="pg")
    folder = Path(place.name)
    if user:
        shutil.chown(folder, user)
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "user": user, "cwd": folder}
    made = ["-D", folder / "data", "-U", "benchmark", "--auth=trust", "-E", "UTF8", "--locale=C"]
    subprocess.run([binaries / "initdb", *made], check=True, **options)
    listen = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", folder]
    server = subprocess.Popen([binaries / "postgres", "-D", folder / "data", *listen], **options)
    psql = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"k={TEXT_KEY}", "-h", str(folder)]
    psql += ["-U", "benchmark", "-d", "postgres"]
    _until_ready(psql)

    def work(source: Path, out: Path) -> None:
        with source.open(encoding="utf-8") as lines:
            columns = next(lines).strip().split(",")
        script = (
            "CREATE EXTENSION pgcrypto;\n"
            f"CREATE UNLOGGED TABLE raw ({', '.join(f'{c} text' for c in columns)});\n"
            f"\\copy raw FROM '{source}' WITH (FORMAT csv, HEADER)\n"
            f"CREATE UNLOGGED TABLE hidden AS SELECT row, t || ({total}) % 11 % 10 AS mpan_core, {SERIAL}, address\n"
            f"FROM (SELECT row, {twelve} AS t, {hashes} FROM raw) AS half;\n"
            f"\\copy hidden TO '{out}.csv' WITH (FORMAT csv, HEADER)\n"
        )
        try:
            subprocess.run(psql, input=script, text=True, check=True, stdout=subprocess.DEVNULL)
        finally:  # ended here, so that the CPU seconds of all its processes are counted
            server.terminate()
            server.wait()
            place.cleanup()
        pl.scan_csv(f"{out}.csv", infer_schema=False).sink_parquet(out, compression="zstd")

    return work


def _until_ready(psql: list[str]) -> None:
    ask = [*psql, "-c", "SELECT 1"]
    for _ in range(100):
        if subprocess.run(ask, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise SystemExit("the PostgreSQL server did not start")


WAYS: dict[str, Callable[[], Work]] = {
    way.__name__: way
    for way in (
        ours,
        pandas_hmac,
        polars_map_elements,
        polars_hash,
        maskops_consistent,
        maskops_ff1,
        fastfpe,
        ff3,
        aindo,
        presidio_structured,
        presidio_anonymizer,
        postgresql_pgcrypto,
    )
}


def _cpu() -> float:
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def main() -> None:
    """Do one way's work and print what it took."""
    way, source, out = sys.argv[1:]
    work = WAYS[way]()
    hashlib.sha256(b"warm").digest()
    began, cpu = time.perf_counter(), _cpu()
    work(Path(source), Path(out))
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_seconds": _cpu() - cpu}))


if __name__ == "__main__":
    main()
