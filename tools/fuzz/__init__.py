"""Random networks against every way in which seewhy computes: run as ``python -m tools.fuzz --help``."""
