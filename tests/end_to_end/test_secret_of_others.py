"""A secret that RDS or others manage, where IAM is enforced: it is read, also rotated, and never written."""

from __future__ import annotations

import dataclasses
import json

NAME = "rds!db-0a1b"
STAGE = "others"  # deployed to the stack as to AWS: the stage `local` has secrets of its own


def test_secret_of_others_is_read_rotated_and_never_written(filled, aws, sql):
    stack, secrets = filled.stack, aws(filled, "secretsmanager")
    source = stack.source
    value = {"engine": "postgres", "username": source.user, "password": source.password}
    arn = secrets.create_secret(Name=NAME, SecretString=json.dumps(value))["ARN"]
    text = (filled.root / "config" / "pipeline.toml").read_text(encoding="utf-8")
    own = '[secrets.source]\nname = "{name}/{stage}/source"\nenvironment = "SOURCE_DATABASE_URL"\n'
    assert own in text
    others = f'[secrets.source]\narn = "{arn}"\nhost = "{source.host}"\nport = {source.port}\n'
    text = text.replace(own, f'{others}database = "{source.database}"\n')
    host = f'\n[stages.{STAGE}.packages]\nplatform = "host"\nruntime = "host"\n'
    (filled.root / "config" / "others.toml").write_text(text + host, encoding="utf-8")
    line = dataclasses.replace(filled, file="others.toml")
    environ = {
        "AWS_ENDPOINT_URL": stack.aws_endpoint_url,
        "AWS_REGION": stack.region,
        "AWS_ACCESS_KEY_ID": stack.access_key_id,
        "AWS_SECRET_ACCESS_KEY": stack.secret_access_key,
        "WAREHOUSE_DATABASE_URL": stack.warehouse.url,
    }

    def run(*arguments: str) -> str:
        result = line(*arguments, "--stage", STAGE, env=environ)
        assert result.exit_code == 0, result.output
        return str(result.output)

    before = secrets.describe_secret(SecretId=NAME)
    try:
        assert f"secret source is {arn}, which others manage: extract and freshness may read it" in run("deploy")
        assert '"batch": 1,' in run("invoke", "extract")
        sql(source, "ALTER ROLE CURRENT_USER PASSWORD 'rotated'")
        secrets.put_secret_value(SecretId=NAME, SecretString=json.dumps({**value, "password": "rotated"}))
        sql(stack.source_admin, "UPDATE sales_order SET units_sold = 4322 WHERE sales_order_id = 6")
        assert '"batch": 2,' in run("invoke", "extract")
        assert "Nothing changed." in run("deploy")
        run("destroy", "--yes", "--delete-data")
        after = secrets.describe_secret(SecretId=NAME)
        assert (after["Tags"], len(after["VersionIdsToStages"])) == (before["Tags"], 2), "its own rotation"
    finally:
        if "rotated" in secrets.get_secret_value(SecretId=NAME)["SecretString"]:
            rotated = dataclasses.replace(source, password="rotated")
            sql(rotated, f"ALTER ROLE CURRENT_USER PASSWORD '{source.password}'")
        (filled.root / "config" / "others.toml").unlink()
        secrets.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
