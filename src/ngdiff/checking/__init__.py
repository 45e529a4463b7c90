"""What can be known before a run: whether the model knows its rows, and whether they are apart and enough."""
