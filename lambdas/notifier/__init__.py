"""Makes messages of alarms that a person can act on, one when an incident begins and one when it is over.

Its package has this folder alone: the standard library and the runtime's boto3, no requirements.
"""
