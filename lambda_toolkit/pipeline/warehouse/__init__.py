"""The warehouse's schema: DDL, column types, preparation, verification and views."""
