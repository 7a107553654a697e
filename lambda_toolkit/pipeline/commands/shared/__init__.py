"""What the commands share: lazy groups, options, the target, and the screen."""
