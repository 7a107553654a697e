"""AWS CDK: a program in JavaScript, which starts fastest of its languages, deployed through CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.peers.peer import RUNTIME, Command, NodePeer, Project, Site
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator import ACCOUNT

_APP = """const {{ App, Duration, Stack, aws_events: events, aws_events_targets: targets, aws_lambda: lambda }} =
  require('aws-cdk-lib');

const stack = new Stack(new App(), 'bench');
for (const name of {names}) {{
  const fn = new lambda.Function(stack, name, {{
    functionName: name,
    code: lambda.Code.fromAsset(`functions/${{name}}`),
    handler: 'handler.lambda_handler',
    runtime: new lambda.Runtime('{runtime}', lambda.RuntimeFamily.PYTHON),
    memorySize: {memory},
    timeout: Duration.seconds({timeout}),
  }});
  new events.Rule(stack, `${{name}}-schedule`, {{
    schedule: events.Schedule.expression('{schedule}'),
    targets: [new targets.LambdaFunction(fn)],
  }});
}}
"""


class Cdk(NodePeer):
    """The account is bootstrapped beforehand."""

    name = "CDK"
    quick_name = "CDK, deploy --hotswap"
    packages = ("aws-cdk@2.1148.1", "aws-cdk-lib@2.275.0", "constructs@10.8.1")

    @property
    def variables(self) -> Mapping[str, str]:
        """No telemetry, and where the program finds the library."""
        return {"CDK_DISABLE_CLI_TELEMETRY": "true", "NODE_PATH": str(self.home / "node_modules")}

    def write(self, site: Site, project: Project) -> None:
        """The handlers, the program and its settings."""
        project.write_handlers(site.directory)
        app = _APP.format(
            names=json.dumps(project.functions),
            runtime=RUNTIME,
            memory=project.memory,
            timeout=project.timeout,
            schedule=project.schedule,
        )
        (site.directory / "app.js").write_text(app, encoding="utf-8")
        settings = {"app": "node app.js", "versionReporting": False, "notices": False}
        (site.directory / "cdk.json").write_text(json.dumps(settings), encoding="utf-8")

    def prepare(self, site: Site, project: Project) -> Sequence[Command]:
        """The bootstrap, once for an account and region."""
        return [["cdk", "bootstrap", f"aws://{ACCOUNT}/{site.environment['AWS_REGION']}"]]

    def first(self, project: Project) -> Sequence[Command]:
        """The stack."""
        return [["cdk", "deploy", "--require-approval", "never"]]

    def quick(self, project: Project, function: str) -> Sequence[Command]:
        """Past CloudFormation, where only code differs."""
        return [["cdk", "deploy", "--require-approval", "never", "--hotswap"]]
