"""What every agent that talks shares: the paper's words, and language models that score answers."""
