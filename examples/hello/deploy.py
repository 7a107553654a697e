"""Deploy hello.py, to run every morning. Change it and run this again: only the difference is sent.

``lambda-script invoke deploy.py --event event.json`` runs it on this machine, ``lambda-script watch deploy.py`` deploys
after each save.
"""

from pathlib import Path

from lambda_script import Lambda_script

deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("hello.py"),
    function_name_template="{stage}-hello",
    schedule="0 6 * * MON-FRI",
)
for change in deployer.deploy().done:
    print(change.action, change.kind, change.name)
