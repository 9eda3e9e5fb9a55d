"""Which layer a map is of, and whether its grid is what it seems, proved on the running network; draws nothing."""
