"""lm-evaluation-harness: tasks that it runs, and how it scores them."""
