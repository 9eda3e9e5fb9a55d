"""Captum's own tests, answered by seewhy: see ``__main__``."""
