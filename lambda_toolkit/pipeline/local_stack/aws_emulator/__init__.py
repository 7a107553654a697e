"""The emulated AWS: ministack in an environment of its own, with what it lacks added by its launcher."""
