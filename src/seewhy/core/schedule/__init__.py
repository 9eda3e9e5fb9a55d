"""The engine: methods as jobs over one batch, the passes that they share, spot checks of programs; knows no file."""
