"""A live network: takes modules, inputs and asks, gives activations, gradients and scores; knows no method, no file,
no picture."""
