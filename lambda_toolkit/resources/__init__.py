"""One module per kind of AWS resource.

Each brings desired and live to one shape, diffs them, and knows how to apply the difference.
"""
