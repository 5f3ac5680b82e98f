"""What decides which task instances run, and sees to it that they do."""
