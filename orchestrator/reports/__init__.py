"""What only reads: usage, verify, doctor, and the rebuilding of a lost catalog."""
