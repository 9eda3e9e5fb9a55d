"""The engine: methods as jobs over one batch, the passes that they share, and spot checks of programs; reads nothing."""
