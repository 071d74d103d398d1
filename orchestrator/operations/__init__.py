"""The stories: what each operation does, step by step, over the ports.

A story reads from top to bottom in the order in which its steps happen. It decides nothing that a
plan could decide and knows neither libvirt nor SQL.
"""
