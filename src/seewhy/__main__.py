"""``python -m seewhy``: the command line."""

from __future__ import annotations

from seewhy.cli import main

if __name__ == "__main__":
    main()
