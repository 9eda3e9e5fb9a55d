"""One forward: what it must make possible, running it, and what is read off it; chooses no layer, builds no program."""
