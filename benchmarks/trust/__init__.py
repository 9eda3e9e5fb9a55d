"""How often trust cards warn of maps that are known to be wrong, and of maps that are known to be right."""
