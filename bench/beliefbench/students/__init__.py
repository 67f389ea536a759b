"""Students: our own small language models, trained from nothing, that read the same words as any other model."""
