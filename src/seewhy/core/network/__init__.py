"""A borrowed network: its layers by name, how they lay their numbers out, what it puts out; knows no method."""
