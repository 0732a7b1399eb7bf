"""MISTAKES: what a person may get wrong with a backup, a ``cut.yaml`` or a command, and what the product answers.

``python -m tests.mistakes`` tries them all and prints the table: mistake, exit code, line.
"""
