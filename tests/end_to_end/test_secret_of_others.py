"""A secret that RDS or others manage, on the stack that enforces IAM: it is read, also rotated, and never written."""

from __future__ import annotations

import dataclasses
import json

from lambda_toolkit.pipeline.local_stack.independent_check import check

NAME = "rds!db-0a1b"


def test_secret_of_others_is_read_rotated_and_never_written(filled, aws, sql):
    stack, secrets = filled.stack, aws(filled, "secretsmanager")
    source = stack.source
    value = {"engine": "postgres", "username": source.user, "password": source.password}
    arn = secrets.create_secret(Name=NAME, SecretString=json.dumps(value))["ARN"]
    config = filled.root / "config"
    text = (config / "pipeline.toml").read_text(encoding="utf-8")
    own = '[secrets.source]\nname = "{name}/{stage}/source"\nenvironment = "SOURCE_DATABASE_URL"\n'
    assert own in text
    others = f'[secrets.source]\narn = "{arn}"\nhost = "{source.host}"\nport = {source.port}\n'
    (config / "others.toml").write_text(
        text.replace(own, f'{others}database = "{source.database}"\n'), encoding="utf-8"
    )
    line = dataclasses.replace(filled, file="others.toml")
    before = secrets.describe_secret(SecretId=NAME)
    try:
        deployed = line("deploy")
        assert deployed.exit_code == 0, deployed.output
        assert f"secret source is {arn}, which others manage: extract may read it" in deployed.stderr
        sql(stack.source_admin, "UPDATE sales_order SET units_sold = 4321 WHERE sales_order_id = 6")
        assert line("run").exit_code == 0
        sql(source, "ALTER ROLE CURRENT_USER PASSWORD 'rotated'")
        secrets.put_secret_value(SecretId=NAME, SecretString=json.dumps({**value, "password": "rotated"}))
        sql(stack.source_admin, "UPDATE sales_order SET units_sold = 4322 WHERE sales_order_id = 6")
        run = line("run")
        assert run.exit_code == 0, run.output
        assert line("deploy").stdout == "Nothing changed.\n"
        after = secrets.describe_secret(SecretId=NAME)
        assert (after["Tags"], len(after["VersionIdsToStages"])) == (before["Tags"], 2), "its own rotation"
    finally:
        rotated = dataclasses.replace(source, password="rotated")
        if "rotated" in secrets.get_secret_value(SecretId=NAME)["SecretString"]:
            sql(rotated, f"ALTER ROLE CURRENT_USER PASSWORD '{source.password}'")
        (config / "others.toml").unlink()
        secrets.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
        again = filled("deploy")
    assert again.exit_code == 0, again.output
    assert check(stack.source, stack.warehouse).agrees
