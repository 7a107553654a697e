"""How many requests to S3 and Secrets Manager a run makes: what ``cost`` multiplies by prices."""

from __future__ import annotations

from collections import Counter

import boto3

from lambda_toolkit.pipeline.cost.workload import BEHAVIOURS
from tests.pipeline.test_handlers import CONTEXT, extract, load, s3_event, transform

WRITES = {"PutObject", "ListObjectsV2", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
READS = {"GetObject", "HeadObject"}
SWEEP = {"source": "aws.events", "detail-type": "Scheduled Event"}


class Requests:
    """The requests of the functions' clients since the last look."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        boto3.DEFAULT_SESSION.events.register("before-send", self._count)

    def _count(self, event_name: str, **_: object) -> None:
        self._seen[event_name.rpartition(".")[2]] += 1

    def of(self, run, event) -> tuple[int, int, int]:
        """Return the writes, the reads and the secrets read in one run."""
        self._seen.clear()
        run(event, CONTEXT)
        seen = self._seen
        return sum(seen[each] for each in WRITES), sum(seen[each] for each in READS), seen["GetSecretValue"]


def test_runs_make_the_requests_that_cost_counts(deployed) -> None:
    """Idle runs make exactly those; a run with a batch makes up to five more or fewer."""
    requests = Requests()
    manifest = "manifests/batch-{:012d}.json"
    extract({}, CONTEXT)
    transform(s3_event(manifest.format(1)), CONTEXT)
    load({}, CONTEXT)
    idle = {
        name: requests.of(run, event)
        for name, run, event in (("extract", extract, {}), ("transform", transform, SWEEP), ("load", load, {}))
    }
    for change in (
        "UPDATE payment SET paid = NOT paid WHERE payment_id = 1; DELETE FROM payment WHERE payment_id = 9",
        "UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id = 1",
        "UPDATE transaction SET last_updated = now() WHERE transaction_id = 2",
        "UPDATE purchase_order SET item_quantity = item_quantity + 1",
        "UPDATE address SET phone = '1'",
    ):
        deployed.admin.run(change)
    batch = {
        "extract": requests.of(extract, {}),
        "transform": requests.of(transform, s3_event(manifest.format(2))),
        "load": requests.of(load, {}),
    }
    for name, behaviour in BEHAVIOURS.items():
        reads_secret = int(name != "transform")
        assert idle[name] == (behaviour.idle.s3_writes, behaviour.idle.s3_reads, reads_secret), name
        writes, reads, secrets = batch[name]
        assert secrets == reads_secret
        assert abs(writes - behaviour.batch.s3_writes) <= 5, (name, writes)
        assert abs(reads - behaviour.batch.s3_reads) <= 5, (name, reads)
