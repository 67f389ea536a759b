"""Teaching language models: teachers' answers in simulated interactions, as training data, and the training."""
