"""Deploy orders.py: messages of a queue and events of EventBridge invoke it, and so does its URL."""

import sys
from pathlib import Path

from lambda_script import EventTrigger, FunctionUrl, Lambda_script, QueueTrigger

if len(sys.argv) != 2:
    sys.exit("Usage: python deploy.py QUEUE")
deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("orders.py"),
    function_name_template="{stage}-orders",
    timeout=10,  # the queue's visibility timeout: 60 s or more
    queue_trigger=QueueTrigger(sys.argv[1], batch_size=5, report_failures=True),
    event_trigger=EventTrigger({"source": ["shop"], "detail-type": ["order placed"]}),
    url=FunctionUrl("AWS_IAM"),  # "NONE": everyone on the internet may call it
)
for note in deployer.plan().notes:
    print("note:", note)
for change in deployer.deploy().done:
    print(change.action, change.kind, change.name)
print(deployer.url())
