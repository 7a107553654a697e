"""Names of columns that the lake's files hold beside those of the source."""

UNREADABLE = "_unreadable"  # JSON {column: text} of values for which the lake's types have no place; else NULL
