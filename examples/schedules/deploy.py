"""Deploy report.py with three schedules: nine o'clock in London, six in New York, and each quarter until 2030.

With `destroy` after it, remove everything again.
"""

import sys
from pathlib import Path

from lambda_script import Lambda_script, Schedule

deployer = Lambda_script(
    lambda_function_path=Path(__file__).with_name("report.py"),
    function_name_template="{stage}-report",
    timezone="Europe/London",
    schedule=[
        Schedule("0 9 * * MON-FRI", name="morning", input={"report": "daily"}, flexible_minutes=15),
        Schedule("0 18 * * *", timezone="America/New_York", name="evening", input={"report": "sales"}, retries=5),
        Schedule("cron(0 7 L 3,6,9,12 ? *)", name="quarter", input={"report": "quarterly"}, end="2030-01-01"),
    ],
)
done = deployer.destroy(delete_data=True) if sys.argv[1:] == ["destroy"] else deployer.deploy()
for change in done.done:
    print(change.action, change.kind, change.name)
