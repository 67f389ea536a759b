"""Domains and agents by name: from entry points, plugin files, and functions that return sources."""
