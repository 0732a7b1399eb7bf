"""RING-FENCE: what a plan, a test case and an allocation are, in words and typed models."""
