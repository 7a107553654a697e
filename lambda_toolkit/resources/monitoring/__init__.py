"""What watches functions: alarms, dashboards and log groups."""
