"""Language: the paper's words, and language models that score or write answers."""
