"""The declaration of source and warehouse as frozen values: tables, expressions, joins, history, calendars."""
