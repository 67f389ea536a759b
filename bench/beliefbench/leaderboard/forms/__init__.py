"""The forms that a leaderboard is written in: tables for the terminal, Markdown, LaTeX, CSV and JSON."""
