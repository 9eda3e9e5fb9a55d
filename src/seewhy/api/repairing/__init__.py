"""Repairs of what an audit proved: a model, an audit and training pictures to a model without the shortcut."""
