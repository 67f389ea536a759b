"""Figures that others published, to read beside a leaderboard; they are data, and no run of ours stands behind them."""
