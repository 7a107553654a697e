"""What starts functions by the clock: rules of EventBridge, and schedules of EventBridge Scheduler."""
