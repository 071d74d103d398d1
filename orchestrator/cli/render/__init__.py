"""Values to text. Pure: no clock, no terminal, no stream; the width and the time are handed in."""
