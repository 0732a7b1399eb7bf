"""ATTACK: motivated intruders, played against a release: what they achieve on what is really released.

Reads a pack and the truth, and nothing that made the pack: it does not know how values were treated.
"""
