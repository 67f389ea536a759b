"""What a language model is asked: the words, and the conversation that they are part of."""
