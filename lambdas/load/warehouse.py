"""What may be done with a warehouse from outside: create what it lacks, and name how it differs."""

from lambdas.load.differences import differences
from lambdas.load.preparation import prepare

__all__ = ["differences", "prepare"]
