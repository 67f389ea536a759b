"""Domains and agents by name: entry points, plugin files, and whatever else brings domains."""
