"""From the declaration to what the toolkit deploys: functions with their roles, alarms and dashboard."""
