"""Alarms and messages on this machine: CloudWatch's evaluation, and the receivers of emails and of Slack's messages."""
