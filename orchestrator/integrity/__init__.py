"""Is a file what the catalog says it is, and who uses it?"""
