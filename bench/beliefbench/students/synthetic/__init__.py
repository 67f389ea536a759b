"""Synthetic domains: random items, features, layouts and users, on which a student learns to read any domain."""
