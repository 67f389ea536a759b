"""A student that reads any text: its tokenizer, its conversations as tensors, the heads it is taught with, its teaching."""
