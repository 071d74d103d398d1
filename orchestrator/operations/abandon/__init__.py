"""abandon: close an operation that can be neither finished nor undone, with everything kept."""
