"""What other tools run and read: their tasks, their logs, their schemas."""
