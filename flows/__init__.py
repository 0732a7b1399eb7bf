"""EFFECTS: files, keys, clocks, ledger, Prefect and Great Expectations. No business rule lives here.

Analytics of third-party libraries are switched off here, before any of them can be imported.
"""

import os

os.environ["DO_NOT_TRACK"] = "1"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["GX_ANALYTICS_ENABLED"] = "false"
