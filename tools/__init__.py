"""Programs of the developers: measurements, beside the tests."""
