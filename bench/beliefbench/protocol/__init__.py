"""What is asked: users, rounds and held-out sets; early stopping; the information that rounds carry."""
