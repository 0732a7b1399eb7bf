"""RESTORED: the pieces of a participant's load files. Real MPANs live here, in memory and in the owner's own folder."""
