"""checkpoint: save the memory of a domain and freeze its disks."""
