"""Starts MiniStack, with two questions of IAM and two of alarms decided as AWS decides them.

- The template restricts each role to rows by `dynamodb:LeadingKeys`, the partition keys in a request. MiniStack
  evaluates conditions but does not set this key, and `ForAllValues` passes when a key is absent. So MiniStack alone
  would neither test nor enforce the restriction. This module sets the key: for single items, batches, queries, and
  each item of a transaction.
- A batch of messages needs the permission for one message; MiniStack requires an action that IAM does not have.
- An alarm watches the metric with its own dimensions; MiniStack uses every metric of that name.
- An alarm defines how to treat missing data; MiniStack keeps the old state. Here missing data breaches if the alarm
  says so.
"""

import json
import math
import re
import time
import types
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import cloudwatch

LEADING_KEYS = "dynamodb:LeadingKeys"
PARTITION_KEY = "pk"

original_context = iam_actions.dynamodb_service_context
original_checks = iam_actions.dynamodb_transaction_checks
original_enforce = iam_evaluator.enforce
original_action = iam_actions.extract_iam_action
original_evaluate = cloudwatch._evaluate_alarm


class RowArn(str):
    """A table's ARN that also holds the row of a transaction's item."""

    leading_key: str


def partition_keys(*requests: dict[str, Any]) -> list[str]:
    """The partition keys of single-item requests, whether they contain a key or a whole item."""
    items = (request.get("Key") or request.get("Item") or {} for request in requests)
    return [item[PARTITION_KEY]["S"] for item in items if PARTITION_KEY in item]


def queried(request: dict[str, Any]) -> list[str]:
    """The partition key of a query: its condition begins with it."""
    name = re.match(r"\S+ = (:\w+)", request.get("KeyConditionExpression", ""))
    return [request["ExpressionAttributeValues"][name[1]]["S"]] if name else []


def service_context(body: bytes) -> dict[str, Any]:
    """MiniStack's condition keys of a request, and in addition the leading keys of an item, a batch or a query."""
    request = json.loads(body or b"{}")
    batches = request.get("RequestItems", {}).values()
    read = [{"Key": key} for batch in batches if isinstance(batch, dict) for key in batch["Keys"]]
    written = [write for batch in batches if isinstance(batch, list) for entry in batch for write in entry.values()]
    keys = partition_keys(request, *read, *written)
    keys += queried(request)
    return {**original_context(body), **({LEADING_KEYS: keys} if keys else {})}


def transaction_checks(action: str, body: bytes, region: str, account: str) -> list[tuple[str, str]]:
    """Runs MiniStack's check on each item of a transaction, each with its own row."""
    checks = original_checks(action, body, region, account)
    items = [item for entry in json.loads(body).get("TransactItems", []) for item in entry.values()] if checks else []
    rows: list[tuple[str, str]] = []
    for (item_action, arn), item in zip(checks, items, strict=True):
        row = RowArn(arn)
        (row.leading_key,) = partition_keys(item)
        rows.append((item_action, row))
    return rows


def enforce(
    key_id: str,
    action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """MiniStack's decision, given the row if the request is one of a transaction's items."""
    if isinstance(resource_arn, RowArn):
        service_context = {**(service_context or {}), LEADING_KEYS: [resource_arn.leading_key]}
    return original_enforce(key_id, action, service, region, resource_arn, service_context)


def permission(service: str, *request: Any) -> str | None:
    """The action that a request needs permission for."""
    action: str | None = original_action(service, *request)
    return action.removesuffix("Batch") if action and service == "sqs" else action


def evaluate(alarm: dict[str, Any]) -> None:
    """MiniStack's decision on an alarm, given only the alarm's own metric and its rule for missing data."""
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm["Dimensions"]))
    key = (alarm["Namespace"], alarm["MetricName"], dimensions)
    since = time.time() - alarm["Period"] * alarm["EvaluationPeriods"]
    points = [point for point in cloudwatch._metrics.get(key, []) if point["Timestamp"] >= since]
    if not points and alarm["TreatMissingData"] == "breaching":
        worst = -math.inf if alarm["ComparisonOperator"].startswith("Less") else math.inf
        points = [{"Timestamp": time.time(), "Value": worst}]
    shown = {**vars(cloudwatch), "_metrics": {key: points}}
    types.FunctionType(original_evaluate.__code__, shown)(alarm)


if __name__ == "__main__":
    cloudwatch._evaluate_alarm = evaluate
    iam_actions.extract_iam_action = permission
    iam_actions.dynamodb_service_context = service_context
    iam_actions.dynamodb_transaction_checks = transaction_checks
    iam_evaluator.enforce = enforce
    app.main()
