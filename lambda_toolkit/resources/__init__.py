"""One module per kind of thing on AWS.

Each brings desired and live to one shape, diffs them, and knows how to apply the difference.
"""
