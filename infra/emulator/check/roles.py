"""Checks what each function's role may do and what it is denied, with the role's own credentials on the emulator.

Which roles may write a token endpoint: a connection's row holds the server to which its refresh token is sent. The
scheduler, which reads no secret, writes no connection. The worker (refresh), oauth (connect, disconnect) and enrol
(deleted users) replace or erase a grant together with its endpoint, so all three have to write those attributes. IAM
could restrict an update to named attributes (`dynamodb:Attributes`), but does not distinguish a replacement from a
removal, so this would restrict none of them. A role with the table but without the root key can't redirect a grant,
because the endpoint is part of the seal.
"""

import dataclasses
import datetime
import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions

from check.processes import Failed
from check.stack import FUNCTIONS, Stack

DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


@dataclasses.dataclass(frozen=True)
class Call:
    """One request to one service."""

    service: str
    method: str
    arguments: dict[str, Any]

    def denied(self, stack: Stack, role: dict[str, str]) -> bool:
        """Whether the role may not make this call. A permitted call may fail for another reason."""
        try:
            getattr(stack.client(self.service, role), self.method)(**self.arguments)
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"] in DENIED
        return False


class Calls:
    """The calls to check. A permitted call has no effect: its rows and athletes do not exist."""

    def __init__(self, outputs: dict[str, str]) -> None:
        self.outputs = outputs
        self.table = {"TableName": outputs["TableName"]}

    def get(self, key: str) -> Call:
        return Call("dynamodb", "get_item", {**self.table, "Key": row(key)})

    def batch_get(self, *keys: str) -> Call:
        return Call(
            "dynamodb",
            "batch_get_item",
            {"RequestItems": {self.outputs["TableName"]: {"Keys": [row(key) for key in keys]}}},
        )

    def put(self, key: str) -> Call:
        return Call("dynamodb", "put_item", {**self.table, "Item": row(key), "ConditionExpression": PRESENT})

    def update(self, key: str) -> Call:
        return Call(
            "dynamodb",
            "update_item",
            {
                **self.table,
                "Key": row(key),
                "ConditionExpression": PRESENT,
                "UpdateExpression": "SET probe = :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            },
        )

    def point_elsewhere(self, key: str) -> Call:
        """Changes a connection's token endpoint, so that the next tick would send the grant to another server."""
        call = self.update(key)
        names = {"#url": "token_url", "#expires": "expires_at"}
        values = {":url": {"S": "https://elsewhere.example.org/token"}, ":past": {"S": "2026-01-01T00:00:00Z"}}
        changed = {
            "UpdateExpression": "SET #url = :url, #expires = :past",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        return Call("dynamodb", "update_item", {**call.arguments, **changed})

    def batch_write(self, key: str) -> Call:
        # Deletes an item that does not exist.
        requests = {self.outputs["TableName"]: [{"DeleteRequest": {"Key": row(key)}}]}
        return Call("dynamodb", "batch_write_item", {"RequestItems": requests})

    def statement(self, key: str) -> Call:
        """An update in PartiQL, which needs other permissions than the update itself."""
        table = self.outputs["TableName"]
        text = f"UPDATE \"{table}\" SET token_url = 'https://elsewhere.example.org' WHERE pk = '{key}' AND sk = 'PROBE'"
        return Call("dynamodb", "execute_statement", {"Statement": text})

    def delete(self, key: str) -> Call:
        return Call("dynamodb", "delete_item", {**self.table, "Key": row(key)})

    def transact(self, **items: str) -> Call:
        """A transaction of single-item actions, each on its own row: `Update="OURA#nobody"`."""
        contents: dict[str, dict[str, Any]] = {
            "Update": self.update("").arguments,
            "Delete": self.table,
            "ConditionCheck": {**self.table, "ConditionExpression": PRESENT},
        }
        actions = [{action: {**contents[action], "Key": row(key)}} for action, key in items.items()]
        return Call("dynamodb", "transact_write_items", {"TransactItems": actions})

    def query_index(self) -> Call:
        return Call(
            "dynamodb",
            "query",
            {
                **self.table,
                "IndexName": "active",
                "KeyConditionExpression": "active_shard = :none",
                "ExpressionAttributeValues": {":none": {"S": "none"}},
            },
        )

    def query(self, key: str) -> Call:
        return Call(
            "dynamodb",
            "query",
            {
                **self.table,
                "KeyConditionExpression": "pk = :key",
                "ExpressionAttributeValues": {":key": {"S": key}},
            },
        )

    def scan(self) -> Call:
        return Call("dynamodb", "scan", self.table)

    def delete_table(self) -> Call:
        return Call("dynamodb", "delete_table", self.table)

    def send(self, queue: str) -> Call:
        # A sync of an athlete who is not connected, so the worker has nothing to do.
        job = {"v": 1, "job": "sync", "athlete": "nobody", "tick": datetime.datetime.now(datetime.UTC).isoformat()}
        return Call("sqs", "send_message", {"QueueUrl": self.outputs[queue], "MessageBody": json.dumps(job)})

    def send_batch(self, queue: str) -> Call:
        message = self.send(queue).arguments["MessageBody"]
        return Call(
            "sqs",
            "send_message_batch",
            {"QueueUrl": self.outputs[queue], "Entries": [{"Id": "one", "MessageBody": message}]},
        )

    def receive(self, queue: str) -> Call:
        return Call("sqs", "receive_message", {"QueueUrl": self.outputs[queue], "VisibilityTimeout": 0})

    def purge(self, queue: str) -> Call:
        return Call("sqs", "purge_queue", {"QueueUrl": self.outputs[queue]})

    def read_secret(self, secret: str) -> Call:
        return Call("secretsmanager", "get_secret_value", {"SecretId": self.outputs[secret]})

    def write_secret(self, secret: str) -> Call:
        return Call("secretsmanager", "put_secret_value", {"SecretId": self.outputs[secret], "SecretString": "{}"})

    def reconfigure(self, function: str) -> Call:
        """Changes a function's environment, which also names the token server."""
        arguments = {"FunctionName": self.outputs[function], "Description": "probe"}
        return Call("lambda", "update_function_configuration", arguments)

    def open_address(self, function: str) -> Call:
        """A public address for the function itself, which any client could call."""
        arguments = {"FunctionName": self.outputs[function], "AuthType": "NONE"}
        return Call("lambda", "create_function_url_config", arguments)

    def invoke(self, function: str) -> Call:
        return Call("lambda", "invoke", {"FunctionName": self.outputs[function], "InvocationType": "Event"})


PRESENT = "attribute_exists(pk)"


def row(key: str) -> dict[str, Any]:
    return {"pk": {"S": key}, "sk": {"S": "PROBE"}}


def allowed(call: Calls) -> dict[str, list[Call]]:
    """The calls that each function needs."""
    return {
        "Scheduler": [
            call.query_index(),
            call.get("HOLD#probe"),
            call.get("PLAN#probe"),
            call.update("PLAN#probe"),
            call.send_batch("QueueUrl"),
        ],
        "Worker": [
            call.batch_get("ATHLETE#nobody", "HOLD#probe"),
            call.get("ATHLETE#nobody"),
            call.query("ATHLETE#nobody"),
            call.update("ATHLETE#nobody"),
            call.transact(ConditionCheck="ATHLETE#nobody", Update="ATHLETE#nobody"),
            call.transact(ConditionCheck="ATHLETE#nobody", Update="OURA#nobody"),
            call.get("OURA#nobody"),
            call.update("HOLD#probe"),
            call.receive("QueueUrl"),
            call.send_batch("QueueUrl"),
            call.read_secret("OuraSecretArn"),
            call.read_secret("SmartabaseSecretArn"),
            call.read_secret("KeySecretArn"),
        ],
        "OAuth": [
            call.update("STATE#probe"),
            call.delete("STATE#probe"),
            call.get("ATHLETE#nobody"),
            call.update("ATHLETE#nobody"),
            call.transact(Update="ATHLETE#nobody", Delete="OURA#nobody"),
            call.transact(Update="OURA#nobody"),
            call.get("OURA#nobody"),
            call.update("HOLD#probe"),
            call.send_batch("QueueUrl"),
            call.read_secret("OuraSecretArn"),
            call.read_secret("KeySecretArn"),
        ],
        "Enrol": [
            call.query_index(),
            call.batch_get("ATHLETE#nobody"),
            call.get("HOLD#probe"),
            call.update("ATHLETE#nobody"),
            call.transact(Update="ATHLETE#nobody", Delete="OURA#nobody"),
            call.update("HOLD#probe"),
            call.send_batch("QueueUrl"),
            call.read_secret("SmartabaseSecretArn"),
            call.read_secret("KeySecretArn"),
        ],
    }


def forbidden(call: Calls) -> dict[str, list[Call]]:
    """The calls that would help an attacker who has taken over a function."""
    everybody = [
        call.scan(),
        call.query("OURA#nobody"),
        call.put("ATHLETE#nobody"),
        call.delete("ATHLETE#nobody"),
        call.get("STATE#probe"),
        call.delete("HOLD#probe"),
        call.delete("PLAN#probe"),
        call.update("PROBE#probe"),
        call.point_elsewhere("PROBE#probe"),
        call.batch_write("ATHLETE#nobody"),
        call.statement("ATHLETE#nobody"),
        call.delete_table(),
        call.purge("QueueUrl"),
        call.purge("DeadLetterQueueUrl"),
        call.receive("DeadLetterQueueUrl"),
        call.write_secret("OuraSecretArn"),
        call.write_secret("SmartabaseSecretArn"),
        call.write_secret("KeySecretArn"),
        call.invoke("EnrolFunctionName"),
        call.reconfigure("WorkerFunctionName"),
        call.open_address("WorkerFunctionName"),
    ]
    return {
        "Scheduler": [
            *everybody,
            call.get("OURA#nobody"),
            call.get("ATHLETE#nobody"),
            call.batch_get("ATHLETE#nobody"),
            call.update("ATHLETE#nobody"),
            call.point_elsewhere("ATHLETE#nobody"),
            call.transact(Update="ATHLETE#nobody"),
            call.update("OURA#nobody"),
            call.update("STATE#probe"),
            call.update("HOLD#probe"),
            call.receive("QueueUrl"),
            call.send("DeadLetterQueueUrl"),
            call.read_secret("OuraSecretArn"),
            call.read_secret("SmartabaseSecretArn"),
            call.read_secret("KeySecretArn"),
        ],
        "Worker": [
            *everybody,
            call.query_index(),
            call.update("PLAN#probe"),
            call.update("STATE#probe"),
            call.batch_get("ATHLETE#nobody", "STATE#probe"),
            call.transact(ConditionCheck="ATHLETE#nobody", Update="STATE#probe"),
            call.transact(ConditionCheck="ATHLETE#nobody", Delete="OURA#nobody"),
        ],
        "OAuth": [
            *everybody,
            call.query_index(),
            call.get("HOLD#probe"),
            call.transact(Update="ATHLETE#nobody", Delete="ATHLETE#nobody"),
            call.receive("QueueUrl"),
            call.send("DeadLetterQueueUrl"),
            call.read_secret("SmartabaseSecretArn"),
        ],
        "Enrol": [
            *everybody,
            call.get("OURA#nobody"),
            call.update("OURA#nobody"),
            call.update("STATE#probe"),
            call.transact(Update="ATHLETE#nobody", Delete="ATHLETE#nobody"),
            call.receive("QueueUrl"),
            call.send("DeadLetterQueueUrl"),
            call.read_secret("OuraSecretArn"),
        ],
    }


def check(stack: Stack) -> Iterator[str]:
    """Yields one line per role if all permissions are right; otherwise fails with every call that is not."""
    calls = Calls(stack.outputs)
    may, may_not = allowed(calls), forbidden(calls)
    faults = []
    for function in may:
        role = stack.role(function)
        faults += [f"{function} is refused {call}" for call in may[function] if call.denied(stack, role)]
        faults += [f"{function} may {call}" for call in may_not[function] if not call.denied(stack, role)]
    if faults:
        raise Failed("\n".join(faults))
    for function in may:
        yield f"{function}: {len(may[function])} calls allowed, {len(may_not[function])} refused"


def entrances(stack: Stack) -> str:
    """Checks that no function can be called from outside, except oauth through the HTTP API."""
    client = stack.client("lambda")
    for function in FUNCTIONS:
        name = stack.outputs[f"{function}FunctionName"]
        if client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]:
            raise Failed(f"{function} has an address of its own")
        try:
            statements = json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]
        except client.exceptions.ResourceNotFoundException:
            statements = []
        callers = [statement["Principal"] for statement in statements]
        expected = [{"Service": "apigateway.amazonaws.com"}] if function == "OAuth" else []
        if callers != expected:
            raise Failed(f"{function} may be called by {callers}")
    return "no function has an address of its own, and only the HTTP API may call oauth"
