"""What a workbench takes at most: numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Bytes, pixels, seconds and numbers that no client gets beyond.

    An upload has at most ``bytes`` and ``pixels``, arrives within ``arriving`` seconds, ``uploads`` of them at a time,
    and is decoded within ``decoding``; any other request has at most ``asking`` bytes. There are at most ``photos``
    uploads, with ``held`` bytes in all. A job runs for ``running`` seconds; a client has ``own`` jobs waiting, all
    clients have ``waiting``. ``results`` maps are kept, and ``findings`` findings. An intervention has at most
    ``shapes`` with ``points``.
    """

    bytes: int = 32 * 2**20
    pixels: int = 60_000_000
    arriving: float = 20.0
    decoding: float = 15.0
    asking: int = 2**20
    photos: int = 200
    held: int = 512 * 2**20
    running: float = 600.0
    own: int = 16
    waiting: int = 64
    results: int = 400
    findings: int = 500
    uploads: int = 8
    shapes: int = 200
    points: int = 20_000
