"""PSEUDONYMISE: scheme 1. Keyed permutations and hashes over whole columns."""
