"""One module per kind of thing on AWS: each brings desired and live to one shape, diffs them, and knows how to apply
it.
"""
