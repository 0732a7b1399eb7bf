"""LEAK SCAN: keyed digests of raw identifiers, and the search for them in any bytes; nothing of the pseudonymiser."""
