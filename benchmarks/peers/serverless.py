"""The Serverless Framework, version 3: a YAML file, deployed through CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.peers.peer import RUNTIME, Command, NodePeer, Project, Site

# It uses the AWS SDK for JavaScript 2, which does not know AWS_ENDPOINT_URL: this plugin says it, and nothing else.
_ENDPOINT_PLUGIN = """'use strict';
module.exports = class Endpoint {
  constructor(serverless) {
    const { sdk } = serverless.getProvider('aws');
    sdk.config.update({ endpoint: process.env.AWS_ENDPOINT_URL, s3ForcePathStyle: true });
  }
};
"""


class Serverless(NodePeer):
    """All functions of a service share its package, as it is by default."""

    name = "serverless 3"
    quick_name = "serverless 3, deploy function"
    packages = ("serverless@3.40.0",)

    @property
    def variables(self) -> Mapping[str, str]:
        """No telemetry, no notices."""
        return {"SLS_TELEMETRY_DISABLED": "1", "SLS_TRACKING_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}

    def write(self, site: Site, project: Project) -> None:
        """The handlers, the service and the plugin. JSON is YAML too."""
        project.write_handlers(site.directory)
        service = {
            "service": "bench",
            "frameworkVersion": "3",
            "provider": {
                "name": "aws",
                "runtime": RUNTIME,
                "region": site.environment["AWS_REGION"],
                "memorySize": project.memory,
                "timeout": project.timeout,
            },
            "plugins": ["./endpoint.js"],
            "package": {"patterns": ["!**", "functions/**"]},
            "functions": {
                name: {
                    "name": name,
                    "handler": f"functions/{name}/handler.lambda_handler",
                    "events": [{"schedule": project.schedule}],
                }
                for name in project.functions
            },
        }
        (site.directory / "serverless.yml").write_text(json.dumps(service, indent=1), encoding="utf-8")
        (site.directory / "endpoint.js").write_text(_ENDPOINT_PLUGIN, encoding="utf-8")

    def first(self, project: Project) -> Sequence[Command]:
        """The whole service."""
        return [["serverless", "deploy"]]

    def quick(self, project: Project, function: str) -> Sequence[Command]:
        """One function, past CloudFormation."""
        return [["serverless", "deploy", "function", "--function", function]]
