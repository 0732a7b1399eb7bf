"""DOCUMENTS: what each YAML file of the contracts may hold, as frozen models that refuse what they do not know.

A model says which entries there are, of which kind and which words are closed; ``contracts.lint`` says what they must
mean together.
"""
