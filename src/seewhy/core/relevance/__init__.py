"""Relevance carried backwards through a network: which rules there are, where each goes, and what arrives."""
