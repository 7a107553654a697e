"""What a table requires of its rows: references and NOT NULL, proven by load or refused by the server."""
