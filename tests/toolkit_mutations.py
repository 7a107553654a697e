"""What breaks a guarantee of the toolkit on purpose: rows of ``tests/mutations.py``, which makes them.

Name, file, text that it has once, what that becomes, the tests that must notice; further changes (file, old, new).
"""

from __future__ import annotations

ACCESS = "tests/pipeline/test_access.py"
IMPORTS = "tests/unit/toolkit/test_import_check.py"
READY_LAYERS = "tests/aws/test_ready_layers.py"
IAM_LOGIN = "tests/pipeline/test_iam_login.py"
NETWORK = "tests/aws/test_network.py"
SCHEDULES = "tests/aws/test_schedules.py"
QUEUE = "tests/aws/test_queue_trigger.py"
EVENT = "tests/aws/test_event_trigger.py"
URL = "tests/aws/test_function_url.py"
CONCURRENCY = "tests/aws/test_concurrency.py"
PROVISIONED = "tests/aws/test_provisioned_concurrency.py"
SINGLE_TIME = "tests/aws/test_single_time.py"
MISSING = "tests/aws/test_missing_resources.py"
WATCHING = "tests/unit/toolkit/test_watching.py"

_STATEMENTS = "lambda_toolkit/pipeline/access/statements.py"
_NETWORK = "lambda_toolkit/resources/networks/network.py"
_INTERFACES = "lambda_toolkit/resources/networks/interfaces.py"
_MAPPING = "lambda_toolkit/resources/triggers/event_source_mapping.py"
_EVENT_RULE = "lambda_toolkit/resources/triggers/event_pattern_rule.py"
_URL = "lambda_toolkit/resources/triggers/function_url.py"
_CONCURRENCY = "lambda_toolkit/resources/functions/concurrency.py"
_PROVISIONED = "lambda_toolkit/resources/functions/provisioned.py"
_DESTINATIONS = "lambda_toolkit/resources/planning/destinations.py"
_RECURSION = "lambda_toolkit/resources/functions/recursion.py"
_SCHEDULE = "lambda_toolkit/resources/schedules/schedule.py"
_WATCHING = "lambda_toolkit/running/watching.py"
_IMPORTS = "lambda_toolkit/packaging/imports/import_check.py"
_UPDATE_FIRST = """        if settings and not wanted.is_public:  # first it is closed
            _update(executor_aws, spec.name, wanted)
"""
_GRANT = """        for key in missing:
            invoke_permission.add(executor_aws, spec.name, key, **needed[key])
"""
_CREATE = """        if live is None:
            _create(executor_aws, spec.name, wanted)
"""

Row = tuple[str, str, str, str, str] | tuple[str, str, str, str, str, tuple[tuple[str, str, str], ...]]
ROWS: tuple[Row, ...] = (
    # Where failed events go.
    (
        "a destination that does not exist is not noted",
        _DESTINATIONS,
        "            return False\n        if error.code in (*",
        "            return True\n        if error.code in (*",
        f"{MISSING} -k destination",
    ),
    (
        "a destination that stays is looked for again",
        _DESTINATIONS,
        " or all(item.attribute != attribute for item in found)",
        "",
        f"{MISSING} -k stays_costs",
    ),
    (
        "a destination that the caller may not see counts as missing",
        _DESTINATIONS,
        "            return True\n        raise",
        "            return False\n        raise",
        f"{MISSING} -k may_not_see",
    ),
    # The function access.
    (
        "a query may write",
        _STATEMENTS,
        "LEVEL REPEATABLE READ READ ONLY",
        "LEVEL REPEATABLE READ",
        f"{ACCESS} -k only_queries",
    ),
    (
        "an answer that failed leaves its upload",
        "lambda_toolkit/pipeline/access/answers.py",
        "            self._s3.abort_multipart_upload(**self._place, UploadId=self._upload)\n",
        "",
        f"{ACCESS} -k leave_nothing",
    ),
    (
        "an answer that is being read is removed as forgotten",
        "lambda_toolkit/pipeline/access/answers.py",
        '            if now - found["LastModified"] > FORGOTTEN:',
        "            if True:",
        f"{ACCESS} -k no_command_read",
    ),
    (
        "any object may be discarded as an answer",
        "lambda_toolkit/pipeline/access/messages.py",
        "        if not is_answer(self.key):",
        "        if False:",
        f"{ACCESS} -k exactly_a_request",
    ),
    (
        "a token is sent to a server that is not verified",
        "lambdas/shared/postgres/credentials.py",
        'sslmode="verify-full", token',
        'sslmode="require", token',
        IAM_LOGIN,
    ),
    # Private networks.
    (
        "the code of a function may make network interfaces",
        _NETWORK,
        '        *([{**_statement(_CODE, denied, ["*"]), "Effect": "Deny", "Condition": own}] if denied else []),\n',
        "",
        f"{NETWORK} -k code_may_not",
    ),
    (
        "a detached function loses statements that its versions need",
        _NETWORK,
        "    return own if context.live() is not None and interfaces.are_used(context) else []",
        "    return []",
        f"{NETWORK} -k statements_stay",
    ),
    (
        "a network that Lambda would refuse is tried",
        _NETWORK,
        "        if problems:\n",
        "        if False:\n",
        f"{NETWORK} -k found_first",
    ),
    (
        "a role is deleted before the interfaces that Lambda deletes with it",
        _INTERFACES,
        "        return None if left else True",
        "        return True",
        f"{NETWORK} -k until_interfaces_are_deleted",
    ),
    (
        "interfaces of a function whose name begins alike are waited for",
        _INTERFACES,
        '    return len(description.removeprefix(begins)) == len("00000000-0000-0000-0000-000000000000")',
        "    return True",
        f"{NETWORK} -k begins_alike",
    ),
    (
        "a version whose network failed is published again",
        "lambda_toolkit/resources/functions/version.py",
        'if found.get("Configuration", {}).get("State") == "Failed" and number',
        "if False and number",
        f"{NETWORK} -k new_function_whose_network_failed",
    ),
    # Reserved concurrency.
    (
        "status does not answer while load is throttled",
        "lambda_toolkit/pipeline/client/invocation.py",
        "        if error.code == _THROTTLED:",
        "        if False:",
        "tests/unit/commands/test_follow.py -k throttled",
    ),
    (
        "what the account cannot reserve is not said",
        _CONCURRENCY,
        "    if more > allowed:\n",
        "    if False:\n",
        f"{CONCURRENCY} -k cannot_reserve",
    ),
    (
        "the account is asked by each plan that has a reservation",
        _CONCURRENCY,
        "    growing = sorted(name for name, number in added.items() if number > 0)\n",
        "    growing = sorted(added)\n",
        f"{CONCURRENCY} -k only_where_more",
    ),
    # Provisioned concurrency.
    (
        "a deploy ends before its environments are ready",
        _PROVISIONED,
        "        wait_until_ready(executor_aws, spec.name)\n",
        "",
        f"{PROVISIONED} -k made_and_waited",
    ),
    (
        "environments that Lambda could not make are taken for ready",
        _PROVISIONED,
        '    if live.get("Status") == _FAILED and not found:\n',
        "    if False:\n",
        f"{PROVISIONED} -k failure_is_reported",
    ),
    (
        "a release does not wait for the environments of its version",
        "lambda_toolkit/resources/functions/release.py",
        "            provisioned.wait_until_ready(aws, spec.name)\n",
        "            pass\n",
        f"{PROVISIONED} -k release_waits",
    ),
    (
        "environments are provisioned while a canary has a share of the calls",
        _PROVISIONED,
        "frozenset({context.function_key, (Kind.CONCURRENCY, spec.name)})",
        "frozenset({(Kind.CONCURRENCY, spec.name)})",
        f"{PROVISIONED} -k canary_ends",
    ),
    (
        "environments that are kept ready cost nothing",
        "lambda_toolkit/pipeline/cost/workload.py",
        "        provisioned=spec.provisioned_concurrency or 0,\n",
        "",
        "tests/aws/test_cost.py -k before",
    ),
    # Recursive loops.
    (
        "a loop that was forbidden by hand stays forbidden",
        _RECURSION,
        "_read(context) if context.live() is not None else TERMINATE_LOOPS",
        "spec.recursive_loop or TERMINATE_LOOPS",
        f"{PROVISIONED} -k loops",
    ),
    (
        "an empty setting lets a function start itself for ever",
        _RECURSION,
        "    wanted = spec.recursive_loop or TERMINATE_LOOPS\n",
        "    wanted = spec.recursive_loop or ALLOW_LOOPS\n",
        f"{PROVISIONED} -k loops",
    ),
    (
        "a plan that allows loops does not say so",
        _RECURSION,
        "if wanted == ALLOW_LOOPS else ()",
        "if False else ()",
        f"{PROVISIONED} -k loops",
    ),
    # Schedules that fire once.
    (
        "a schedule that fires once stays when it has fired",
        _SCHEDULE,
        '"DELETE" if schedule.is_once else "NONE"',
        '"NONE"',
        SINGLE_TIME,
    ),
    (
        "a schedule that has fired is made again",
        _SCHEDULE,
        "for item in spec.schedules if not item.has_ended(now)]",
        "for item in spec.schedules]",
        f"{SINGLE_TIME} -k deleted_by_scheduler",
    ),
    # Schedules.
    (
        "what a new schedule replaces is removed while it fires",
        "lambda_toolkit/resources/schedules/handover.py",
        "    until = old.busy_until(now)\n",
        "    until = None\n",
        f"{SCHEDULES} -k misses",
    ),
    (
        "the role of schedules that a rule replaces is removed while they fire",
        "lambda_toolkit/resources/schedules/schedule_role.py",
        "    return _plan_removal(context, schedule_group.replacements(spec), _handing_over(context))",
        "    return _plan_removal(context, schedule_group.replacements(spec))",
        f"{SCHEDULES} -k misses",
    ),
    (
        "a rule is removed before the schedule that replaces it exists",
        "lambda_toolkit/resources/schedules/event_rule.py",
        "        return replace(change, after=after, apply=apply)",
        "        return replace(change, apply=apply)",
        f"{SCHEDULES} -k 'misses or stays_where'",
    ),
    (
        "schedules are made in a group of others",
        "lambda_toolkit/resources/schedules/schedule_group.py",
        "    require_owned(KIND, group, live, adopt=spec.adopt, declared=scope)\n",
        "",
        f"{SCHEDULES} -k group_of_others",
    ),
    (
        "a schedule fires in UTC, whatever its time zone",
        "lambda_toolkit/resources/schedules/schedule.py",
        '"UTC" if schedule.timezone in UTC_NAMES else schedule.timezone,',
        '"UTC",',
        f"{SCHEDULES} -k alias_alone",
    ),
    (
        "a time that does not exist as clocks change fires",
        "lambda_toolkit/spec/schedules/fire_times.py",
        "    return moment if moment.astimezone(place).replace(tzinfo=None) == local else None",
        "    return moment",
        "tests/unit/toolkit/test_fire_times.py",
    ),
    # Event sources.
    (
        "a deploy ends before its mapping polls",
        _MAPPING,
        '    if made.get("State") == wanted:\n',
        "    if True:\n",
        f"{QUEUE} -k waited_for",
    ),
    (
        "a mapping of others is deleted",
        _MAPPING,
        "    return is_owned(_live_tags(context, item), context.spec.name, context.spec.tags)",
        "    return True",
        f"{QUEUE} -k 'only_its_own or by_hand_is_adopted'",
    ),
    (
        "a queue's visibility timeout may be shorter than the function's timeout",
        _MAPPING,
        "(problem := event_source.queue_problem(source, spec))",
        "(problem := None)",
        f"{QUEUE} -k visibility",
    ),
    (
        "event triggers that are no longer declared take the schedule along",
        _EVENT_RULE,
        "if item.startswith(_RULE) and item != schedule)",
        "if item.startswith(_RULE))",
        f"{EVENT} {SCHEDULES} -k 'prune or always_did or beside_the_schedule'",
    ),
    (
        "a rule of others becomes an event trigger",
        _EVENT_RULE,
        "live.tags, adopt=spec.adopt, function=spec.name",
        "live.tags, adopt=True, function=spec.name",
        f"{EVENT} -k rule_of_others",
    ),
    # The URL of a function.
    (
        "a URL is closed after its permissions changed",
        _URL,
        _UPDATE_FIRST,
        "",
        f"{URL} -k closed_to_the_public",
        ((_URL, "        elif settings and wanted.is_public:", "        elif settings:"),),
    ),
    (
        "a URL is open before its permissions are given",
        _URL,
        _GRANT + _CREATE + "        elif",
        _CREATE + _GRANT + "        if live is not None and",
        f"{URL} -k leaves_no_open",
    ),
    (
        "who may call a URL may invoke the function without it",
        _URL,
        '            "InvokedViaFunctionUrl": True,  # and not by Invoke itself\n',
        "",
        f"{URL} -k made_once",
    ),
    (
        "nothing says that a URL is public",
        _URL,
        "    if url.is_public:\n",
        "    if False:\n",
        f"{URL} -k said_clearly",
    ),
    # watch.
    (
        "what is saved during a deploy is not deployed",
        _WATCHING,
        "            act(changed)",
        "            act(changed)\n            seen = snapshot(places())",
        f"{WATCHING} -k saves_during",
    ),
    (
        "files are deployed while an editor writes them",
        _WATCHING,
        "        now = _settled(places, now, ended)\n",
        "",
        f"{WATCHING} -k being_written",
    ),
    (
        "a watch of the pipeline does not see its configuration",
        "lambda_toolkit/pipeline/client/watched.py",
        "        return [self.config.parent, *_sources(",
        "        return [*_sources(",
        "tests/aws/test_watch.py -k configuration",
    ),
    (
        "a watch of a script does not see the modules beside it",
        "lambda_toolkit/pipeline/client/watched.py",
        "        return [self.path, *beside, *_sources(",
        "        return [self.path, *_sources(",
        "tests/aws/test_watch.py -k beside",
    ),
    # The check of imports.
    (
        "an import with an alternative is reported",
        _IMPORTS,
        "self._follow(step.then if self._exist(step.tried) else step.otherwise, certain)",
        "self._follow((*step.tried, *step.then), certain)",
        IMPORTS,
    ),
    (
        "a compiled module of another Python is taken for the function's",
        "lambda_toolkit/packaging/imports/compiled_modules.py",
        "        if python != platform.version:\n",
        "        if False:\n",
        IMPORTS,
    ),
    (
        "a name that a module does not define is found in it",
        _IMPORTS,
        "return statements is None or statements.defines_more or name in statements.names",
        "return True",
        IMPORTS,
    ),
    (
        "dots that lead out of the package are followed",
        _IMPORTS,
        '        else:\n            return None\n        return ".".join(filter(None, (*package',
        '        return ".".join(filter(None, (*package',
        IMPORTS,
    ),
    (
        "what may never run is reported as certain to fail",
        _IMPORTS,
        "sure = certain and step.certain\n",
        "sure = certain\n",
        IMPORTS,
    ),
    (
        "another version of a ready layer is taken for the same",
        "lambda_toolkit/resources/functions/used_layers.py",
        "    if list(used) == [*spec.layers, *(",
        "    if [layer_name(arn) for arn in used] == [*map(layer_name, spec.layers), *(",
        READY_LAYERS,
    ),
    (
        "a ready layer that does not exist is deployed",
        "lambda_toolkit/resources/functions/used_layers.py",
        "    if found is None:\n",
        "    if False:\n",
        READY_LAYERS,
    ),
)
