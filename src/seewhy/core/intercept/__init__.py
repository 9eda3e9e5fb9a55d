"""What is seen of a forward while it runs, and changed in its backward: functions, rules, the final softmax, attention,
biases; knows no layer by name."""
