"""One attempt of a task instance, in the process that runs it."""
