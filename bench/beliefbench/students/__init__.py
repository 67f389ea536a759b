"""Students: small language models of our own, taught from nothing, that read the words any model reads."""
