"""Tables, lists and results as the command line prints them."""
