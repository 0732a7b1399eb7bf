"""Packs and their proof: BagIt folders, DSSE signatures, signing keys, verification. It judges no data."""
