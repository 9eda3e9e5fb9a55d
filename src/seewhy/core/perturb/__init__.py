"""Variants of inputs and layers, and what is kept of the answers to them; runs no model."""
