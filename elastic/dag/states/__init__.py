"""States of task instances and runs, and the rules that decide on them."""
