from __future__ import annotations

import socket

import pytest


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path_factory):
    """Whoever reaches for the network, or for this user's caches, fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"something reached for the network: {args[:2]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    caches = tmp_path_factory.mktemp("caches")
    monkeypatch.setenv("TORCH_HOME", str(caches / "torch"))
    try:
        from huggingface_hub import constants
    except ImportError:
        return
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(caches / "hub"))
