"""RELEASE: the pack that is published and one return pack a participant, with their evidence."""
