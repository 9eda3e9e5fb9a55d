"""Audits of data sets: a model and a source of pictures to findings, each proved."""
