"""Deploy prices.py: it uses a layer that exists, and two environments are kept ready, so that no request waits."""

import sys
from pathlib import Path

from lambda_script import Lambda_script

if len(sys.argv) != 2:
    sys.exit("Usage: python deploy.py LAYER-VERSION-ARN")
deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("prices.py"),
    function_name_template="{stage}-prices",
    layers=[sys.argv[1]],  # of whoever publishes it: read, never written, never deleted
    provisioned_concurrency=2,  # paid for whether or not requests come; 0 removes them
    memory=256,
)
for change in deployer.plan().changes:
    for detail in change.details:
        print(f"{change.kind} {change.name}: {detail}")
for change in deployer.deploy().done:
    print(change.action, change.kind, change.name)
