"""Decoding: takes the bytes of an uploaded file, gives its pixels, read by a process of its own that may take so much
memory and time and no more; what breaks there breaks nothing here."""

from seewhy.web.decoding.process import Decoder

__all__ = ["Decoder"]
