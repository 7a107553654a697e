"""Deploy reach.py into the subnets and security groups that SUBNETS and SECURITY_GROUPS name, separated by commas."""

import os
from pathlib import Path

from lambda_script import Lambda_script

deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("reach.py"),
    function_name_template="{stage}-reach",
    timeout=30,
    vpc={
        "subnets": os.environ["SUBNETS"].split(","),
        "security_groups": os.environ["SECURITY_GROUPS"].split(","),
    },
    # What the function may call: for each service, the plan looks for a way out of the network
    permissions=[{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}],
)
for note in deployer.plan().notes:
    print(f"Note: {note}.")
for change in deployer.deploy().done:
    print(change.action, change.kind, change.name)
