"""A package that adds a method and a model to seewhy."""
