"""Deploy notes.py: it runs for every notes/*.md in the bucket, and an alarm watches it."""

import sys
from pathlib import Path

from lambda_script import Alarm, Lambda_script, S3Trigger

if len(sys.argv) != 2:
    sys.exit("Usage: python deploy.py BUCKET")
bucket = sys.argv[1]
deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("notes.py"),
    function_name_template="{stage}-notes",
    requirements=["markdown-it-py>=3,<5"],  # becomes a layer, installed for Lambda's platform
    s3_trigger=S3Trigger(bucket, prefix="notes/", suffix=".md"),
    alarms=[Alarm("errors", metric="Errors")],
    log_format="JSON",
    log_level="WARN",  # of Lambda's own lines, CloudWatch keeps all
    permissions=[
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": f"arn:aws:s3:::{bucket}/notes/*"},
        {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/pages/*"},
    ],
)
for change in deployer.deploy().done:
    print(change.action, change.kind, change.name)
