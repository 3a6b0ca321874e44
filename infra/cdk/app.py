"""The AWS stacks: `python app.py` writes their templates to cdk.out; `cdk deploy` (npm aws-cdk 2.1148.1) applies them.

    cdk deploy MathCodeRegistry                      # then push the two images
    cdk deploy MathCodeData                          # network, bucket, database, shared disk: kept for ever
    cdk deploy MathCodeServices -c image_tag=v1      # what runs; may be taken down and put up again

Every size is a context value (-c name=value); mathcode_stacks/deployment.py lists them.
"""

from __future__ import annotations

import os

import aws_cdk as cdk
from mathcode_stacks.data import DataStack
from mathcode_stacks.deployment import Deployment
from mathcode_stacks.registry import RegistryStack
from mathcode_stacks.services import ServicesStack


def build(app: cdk.App) -> tuple[RegistryStack, DataStack, ServicesStack]:
    """The three stacks of one deployment."""
    deployment = Deployment.from_context(app.node.try_get_context)
    registry = RegistryStack(app, f"{deployment.name}Registry", deployment=deployment)
    data = DataStack(app, f"{deployment.name}Data", deployment=deployment)
    services = ServicesStack(app, f"{deployment.name}Services", deployment=deployment, registry=registry, data=data)
    for name, value in deployment.tags.items():
        cdk.Tags.of(app).add(name, value)
    return registry, data, services


if __name__ == "__main__":
    # The cdk command names a folder of its own.
    application = cdk.App(outdir=os.environ.get("CDK_OUTDIR", "cdk.out"))
    build(application)
    application.synth()
