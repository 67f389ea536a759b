"""Synthetic domains: invented items, features, layouts and users, so that a student learns to learn, not one domain."""
