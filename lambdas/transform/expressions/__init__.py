"""The evaluation of SQL expressions on Arrow columns, with PostgreSQL's results. Needs pyarrow alone."""
