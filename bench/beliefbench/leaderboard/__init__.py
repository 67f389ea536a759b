"""The leaderboard: rows, ranking, and the forms it is written in."""
