"""Readers, students of any domain: tokenizer, conversations as tensors, auxiliary heads, training."""
