"""Addresses: one module for each part of the workbench, which takes a request apart, has it done and gives the
answer."""
