"""The leaderboard as one static page, and its pictures."""
