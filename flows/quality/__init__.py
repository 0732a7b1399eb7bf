"""QUALITY: verdicts of every rule, the exclusions that follow, and a second count that does not trust them."""
