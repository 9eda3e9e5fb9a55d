"""Whole data sets: takes a model, a source of pictures and a question, gives runs that anybody can go on with."""
