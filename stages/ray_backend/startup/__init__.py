"""Start of Ray and of its actors: environment, connection, and the program and code that actors load."""
