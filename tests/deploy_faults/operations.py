"""The operations that the matrix interrupts: what is on AWS before, and what one command does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambda_script import Alarm, Canary, Lambda_script
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import DeployError, Plan
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.model import Deployment, FunctionSpec, SecretSpec, TopicSpec

EVERYTHING: dict[str, Any] = {
    "schedule": "@daily",
    "s3_trigger": {"bucket": "shop-dev-lake", "prefix": "in/"},
    "alarms": [Alarm("errors", "Errors")],
    "environment": {"COLOUR": "green"},
    "log_retention_days": 30,
}
"""Arguments of a function with everything that can belong to one."""
_NETWORK = {"subnets": ["subnet-1a", "subnet-2b"], "security_groups": ["sg-1"]}


@dataclass(frozen=True)
class World:
    """An account, and the folder with the functions' source. ``aws`` is replaced where a new process starts."""

    aws: Aws
    folder: Path
    bare: Callable[[str], Any]
    """Clients of the account that no fault reaches."""

    def write(self, name: str, text: str) -> Path:
        """Make the function ``name`` return ``text``. Returns its file."""
        file = self.folder / f"{name}.py"
        file.write_text(f"def lambda_handler(event, context):\n    return {text!r}\n", encoding="utf-8")
        return file

    def function(self, name: str = "shop-dev-one", **arguments: Any) -> FunctionSpec:
        """The declaration of a function whose code is as :meth:`write` left it."""
        file = self.folder / f"{name}.py"
        if not file.exists():
            self.write(name, "1")
        script = Lambda_script(lambda_function_path=file, function_name_template=name, aws=self.aws, **arguments)
        return script.spec

    def deploy(self, deployment: Deployment) -> None:
        """As ``deploy.py deploy`` does. Raises ToolkitError."""
        self.apply(make_plan(self.aws, deployment, prune=True, delete_data=True))

    def apply(self, plan: Plan) -> None:
        """Make the changes of ``plan``. Raises DeployError where one was not made."""
        report = execute(self.aws, plan)
        if not report.ok:
            raise DeployError(report)


class Operation:
    """One command. Subclasses say what is there before, what is declared, and what the command does."""

    complete_after = 0.0
    """Seconds after which the same command, given once more, must have completed it; 0: it has done so before."""

    def prepare(self, world: World) -> None:
        """What is on AWS before."""

    def declared(self, world: World) -> Deployment:
        """What is to be there."""
        raise NotImplementedError

    def act(self, world: World) -> None:
        """The command."""
        world.deploy(self.declared(world))

    def plan(self, world: World) -> Plan:
        """What the command would still do."""
        return make_plan(world.aws, self.declared(world), prune=True, delete_data=True)


def shop(*functions: FunctionSpec, **parts: Any) -> Deployment:
    """A deployment of the application that all operations are about."""
    return Deployment(functions, application="shop", stage="dev", **parts)


class FirstDeploy(Operation):
    """A function with everything, and what functions share."""

    def declared(self, world: World) -> Deployment:
        return shop(
            world.function(**EVERYTHING),
            buckets=(BucketSpec("shop-dev-lake"),),
            topics=(TopicSpec("shop-dev-alerts", emails=("a@example.com",)),),
            secrets=(SecretSpec("shop/dev/source", value="x"),),
        )


class ChangeEverything(FirstDeploy):
    """Code, configuration and every attachment change."""

    def prepare(self, world: World) -> None:
        world.deploy(super().declared(world))
        world.write("shop-dev-one", "2")

    def declared(self, world: World) -> Deployment:
        changed = {
            "schedule": "@hourly",
            "s3_trigger": {"bucket": "shop-dev-lake", "prefix": "new/"},
            "memory": 256,
            "alarms": [Alarm("errors", "Errors", threshold=2)],
            "log_retention_days": 7,
            "tags": {"team": "data"},
        }
        return shop(
            world.function(**{**EVERYTHING, **changed}),
            buckets=(BucketSpec("shop-dev-lake", versioned=True, lifecycle=(LifecycleRule("old", expire_days=9),)),),
            topics=(TopicSpec("shop-dev-alerts", emails=("b@example.com",)),),
            secrets=(SecretSpec("shop/dev/source", value="y"),),
        )


class ChangeCode(Operation):
    """Code alone changes, and there are more versions than are kept."""

    def prepare(self, world: World) -> None:
        for text in "12345":
            world.write("shop-dev-one", text)
            world.deploy(self.declared(world))
        world.write("shop-dev-one", "6")

    def declared(self, world: World) -> Deployment:
        return shop(world.function())


class Detach(Operation):
    """What was attached is taken from the declaration."""

    def prepare(self, world: World) -> None:
        lake = (BucketSpec("shop-dev-lake"),)
        world.deploy(shop(world.function(**EVERYTHING), buckets=lake))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(schedule="", s3_trigger=(), alarms=()), buckets=(BucketSpec("shop-dev-lake"),))


class Destroy(FirstDeploy):
    """Everything is removed, its data as well."""

    def prepare(self, world: World) -> None:
        world.deploy(self.declared(world))
        world.bare("s3").put_object(Bucket="shop-dev-lake", Key="in/a", Body=b"1")

    def act(self, world: World) -> None:
        world.apply(self.plan(world))

    def plan(self, world: World) -> Plan:
        return make_destroy_plan(world.aws, self.declared(world), delete_data=True)


class DestroyWithLayer(Operation):
    """A function and its layer are removed."""

    def prepare(self, world: World) -> None:
        world.deploy(self.declared(world))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(requirements=["one"]), world.function("shop-dev-two", requirements=["one"]))

    def act(self, world: World) -> None:
        world.apply(self.plan(world))

    def plan(self, world: World) -> Plan:
        return make_destroy_plan(world.aws, self.declared(world), delete_data=True)


class FirstLayer(Operation):
    """A function with requirements: its layer is published first."""

    def declared(self, world: World) -> Deployment:
        return shop(world.function(requirements=["one"]))


class ReplaceLayer(Operation):
    """Other requirements: another layer, and the former one is deleted.

    A layer has no tags: one whose deletion was interrupted is recognized a day later, when it cannot be of a deployment
    that is under way.
    """

    complete_after = 2 * 86_400.0

    def prepare(self, world: World) -> None:
        world.deploy(shop(world.function(requirements=["one"])))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(requirements=["two"]))


class RemoveFunction(Operation):
    """One of two functions is no longer declared."""

    def prepare(self, world: World) -> None:
        lake = (BucketSpec("shop-dev-lake"),)
        two = world.function("shop-dev-two", **{**EVERYTHING, "requirements": ["one"]})
        world.deploy(shop(world.function(), two, buckets=lake))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(), buckets=(BucketSpec("shop-dev-lake"),))


class AttachToNetwork(Operation):
    """A function is attached to a private network."""

    def prepare(self, world: World) -> None:
        world.deploy(shop(world.function()))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(vpc=_NETWORK))


class DestroyAttached(Operation):
    """A function in a private network is removed. Its role stays until Lambda has deleted the network interfaces."""

    def prepare(self, world: World) -> None:
        world.deploy(self.declared(world))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(vpc=_NETWORK))

    def act(self, world: World) -> None:
        """Given again 20 minutes later, where interfaces were left."""
        try:
            world.apply(self.plan(world))
        except DeployError as error:
            if not all("Lambda still has eni-" in failure.message for failure in error.report.failed):
                raise
            world.aws.clock.sleep(20 * 60.0)
            world.apply(self.plan(world))

    def plan(self, world: World) -> Plan:
        return make_destroy_plan(world.aws, self.declared(world), delete_data=True)


class RemoveEveryFunction(Operation):
    """No function is declared any more."""

    def prepare(self, world: World) -> None:
        world.deploy(shop(world.function(requirements=["one"], schedule="@daily")))

    def declared(self, world: World) -> Deployment:
        return shop()


class CanaryRelease(Operation):
    """A new version gets a tenth of the calls first, and passes its health check."""

    def prepare(self, world: World) -> None:
        world.deploy(self.declared(world))
        world.write("shop-dev-one", "2")

    def declared(self, world: World) -> Deployment:
        watched = {"alarms": [Alarm("errors", "Errors", period=60)], "canary": Canary(weight=0.1, minutes=3)}
        return shop(world.function(health_event={"ping": 1}, **watched))


class TwoTriggers(Operation):
    """Two functions get a trigger on one bucket in one deploy."""

    def prepare(self, world: World) -> None:
        world.bare("s3").create_bucket(
            Bucket="their-lake", CreateBucketConfiguration={"LocationConstraint": world.aws.region}
        )

    def declared(self, world: World) -> Deployment:
        triggers = [{"bucket": "their-lake", "prefix": prefix} for prefix in ("one/", "two/")]
        one, two = (
            world.function(name, s3_trigger=trigger)
            for name, trigger in zip(("shop-dev-one", "shop-dev-two"), triggers, strict=True)
        )
        return shop(one, two)


ZONED = {
    "schedule": [
        {"expression": "0 9 * * *", "name": "nine", "retries": 3},
        {"expression": "0 18 * * *", "input": {"mode": "full"}},
    ],
    "timezone": "Europe/London",
}


class FirstSchedules(Operation):
    """A function with schedules of EventBridge Scheduler."""

    def declared(self, world: World) -> Deployment:
        return shop(world.function(**ZONED))


class RuleToSchedules(Operation):
    """A rule becomes schedules of Scheduler."""

    def prepare(self, world: World) -> None:
        world.deploy(shop(world.function(schedule="0 9 * * *")))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(**ZONED))


class SchedulesToRule(Operation):
    """Schedules of Scheduler become a rule: their role and their group are removed."""

    def prepare(self, world: World) -> None:
        world.deploy(shop(world.function(**ZONED)))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(schedule="0 9 * * *"))


class ChangeSchedules(Operation):
    """One is updated, one replaced, one is new, and the tags of the group were removed by hand."""

    def prepare(self, world: World) -> None:
        world.deploy(shop(world.function(**ZONED)))
        group = f"arn:aws:scheduler:{world.aws.region}:{world.aws.account_id}:schedule-group/shop-dev"
        world.bare("scheduler").untag_resource(ResourceArn=group, TagKeys=["stage"])

    def declared(self, world: World) -> Deployment:
        nine = {"expression": "0 9 * * *", "name": "nine", "retries": 4}
        others = ["0 12 * * *", {"expression": "0 19 * * *", "input": {"mode": "full"}}]
        return shop(world.function(schedule=[nine, *others], timezone="America/New_York"))


class DestroySchedules(FirstSchedules):
    """A function with schedules is removed, with their group."""

    def prepare(self, world: World) -> None:
        world.deploy(self.declared(world))

    def act(self, world: World) -> None:
        world.apply(self.plan(world))

    def plan(self, world: World) -> Plan:
        return make_destroy_plan(world.aws, self.declared(world), delete_data=True)


class Rollback(Operation):
    """The version before is live again."""

    def prepare(self, world: World) -> None:
        for text in "123":
            world.write("shop-dev-one", text)
            world.deploy(self.declared(world))

    def declared(self, world: World) -> Deployment:
        return shop(world.function())

    def act(self, world: World) -> None:
        file = world.folder / "shop-dev-one.py"
        Lambda_script(lambda_function_path=file, function_name_template="shop-dev-one", aws=world.aws).rollback()

    def plan(self, world: World) -> Plan:
        return Plan()


OPERATIONS: dict[str, type[Operation]] = {
    kind.__name__: kind
    for kind in (
        FirstDeploy,
        ChangeEverything,
        ChangeCode,
        Detach,
        Destroy,
        DestroyWithLayer,
        FirstLayer,
        ReplaceLayer,
        RemoveFunction,
        AttachToNetwork,
        DestroyAttached,
        RemoveEveryFunction,
        CanaryRelease,
        TwoTriggers,
        FirstSchedules,
        RuleToSchedules,
        SchedulesToRule,
        ChangeSchedules,
        DestroySchedules,
        Rollback,
    )
}


def restarted(world: World, aws: Aws) -> World:
    """The same account and folder as a new process sees them."""
    return replace(world, aws=aws)
