"""AUGMENT: the fields that only MHHS knows, decided from what is known."""
