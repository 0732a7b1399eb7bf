"""Sample backups: realistic, mutually consistent, of any size, with known defects. Nothing real goes in or comes out.

``generate`` writes a whole sample folder for a ``Request``. Numbers are drawn from streams seeded by (seed, chunk)
and spread by seeded permutations; no clock, no machine and no order of threads has a say in the bytes. (gzip and zip
bytes also depend on the zlib that Python was built with, Parquet bytes on the version of pyarrow.)
"""

from flows.sample.generate import Summary, generate
from flows.sample.request import SampleRequest

__all__ = ["SampleRequest", "Summary", "generate"]
