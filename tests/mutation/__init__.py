"""Single changes of the core, and whether the tests notice them."""
