"""Custody of cut keys: protected at rest, wrapped for a participant, split between custodians, destroyed with proof."""
