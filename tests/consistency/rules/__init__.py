"""Entity types that change under writers: drawn at random, and judged by a model of their own.

The model shares no code with the product: what a definition asks is written down here a second
time, in plain Python, rules included.
"""
