"""Bugs planted on purpose, one at a time: each must make a test fail, or the tests have a hole there."""
