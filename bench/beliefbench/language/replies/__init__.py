"""What a reply says: which option it names, and which probabilities."""
