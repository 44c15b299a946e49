"""Q-Bench's zero-shot score: the softmax over a closed set of quality words."""
