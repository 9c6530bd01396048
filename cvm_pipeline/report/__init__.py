"""What is told to people at the end: so far the proof that the models reproduce the papers."""
