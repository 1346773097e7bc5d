"""What a precoding study found: its page and its table for the terminal."""
