"""The paper's released files: users, rounds and held-out sets as their authors published them."""
