"""The exported network: takes a module that torch can export, gives faster programs that agree with it, a closed form
of its head, and what a changed corner of its input changes; knows no method."""
