"""MEANING: what each extract is, what is secret in it, and what must be true of it.

No keys, no data, no I/O but its own files.
"""
