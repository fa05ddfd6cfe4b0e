"""What a schema says of strings: patterns, formats, and their complements."""
