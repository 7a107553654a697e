"""The commands of ``deploy.py``, one module each, and what they share."""
