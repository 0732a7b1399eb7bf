"""``datacut dtc``: flows of the Data Transfer Catalogue, masked as files."""
