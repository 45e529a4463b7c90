"""From which loss on rows are hardly known."""

# Mean loss, in nats per token or image, above which a model hardly knows rows; the geometric mean probability there is
# 22 %. It stands between the losses of the rows to forget in docs/results.md: before unlearning 1.1 at most (texts:
# 0.02), in models retrained without them 1.9 at least.
UNKNOWN_LOSS = 1.5
