"""Deploy reminders.py: messages of a topic start it, it sends some of them again, and what fails goes to a queue."""

import sys
from pathlib import Path

from lambda_script import Lambda_script, TopicTrigger

if len(sys.argv) != 3:
    sys.exit("Usage: python deploy.py TOPIC-ARN QUEUE-ARN")
topic, queue = sys.argv[1:]
deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("reminders.py"),
    function_name_template="{stage}-reminders",
    environment={"TOPIC": topic},
    topic_trigger=TopicTrigger(topic, filter_policy={"kind": ["invoice"]}),
    recursive_loop="Allow",  # else Lambda stops a message that comes back for the 16th time
    concurrency=5,  # reserved: no more run at a time, however many messages come
    on_failure=queue,  # what fails for good goes there, with the error
    retries=0,
    log_retention_days=7,
    permissions=[{"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}],
)
found = deployer.plan()
for note in found.notes:
    print(f"Note: {note}.")
for change in found.changes:
    for detail in change.details:
        print(f"{change.kind} {change.name}: {detail}")
for change in deployer.deploy().done:
    print(change.action, change.kind, change.name)
