"""PostgreSQL's binary COPY format, written from Arrow."""
