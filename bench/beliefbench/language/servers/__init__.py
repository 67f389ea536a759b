"""Language models behind a server: requests, responses, and what they cost."""
