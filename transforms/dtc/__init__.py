"""Flows of the Data Transfer Catalogue as bytes: records and fields by position, masked and put together again."""
