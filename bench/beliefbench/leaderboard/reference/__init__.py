"""Figures that others published, to show beside a leaderboard. They are data, and not from runs of ours."""
