"""Deploy stock.py with roles that exist, as an organisation gives them out: nothing of IAM is read or written."""

import sys
from pathlib import Path

from lambda_script import Lambda_script

if len(sys.argv) != 3:
    sys.exit("Usage: python deploy.py ROLE-ARN SCHEDULE-ROLE-ARN")
role, schedule_role = sys.argv[1:]
deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("stock.py"),
    function_name_template="{stage}-stock",
    role=role,  # Lambda runs the function with it
    schedule_role=schedule_role,  # EventBridge Scheduler starts the function with it
    schedule="0 7 * * MON-SAT",
    timezone="Europe/London",
)
for change in deployer.deploy().done:
    print(change.action, change.kind, change.name)
