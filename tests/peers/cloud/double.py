"""Plays AWS's side of shadows, jobs and fleet provisioning through a broker.

Written from what AWS publishes (AWS IoT Developer Guide), strict in what it takes:
whatever departs from the documented requests is a `fault`. Requests are also read
by the request classes of the AWS IoT Device SDK, whose own form must be the same.

Tells on standard output what happens, a line each; is told what to do by JSON on
the topic `double/do`. Ends by `{"do": "end"}`.
"""

import argparse
import copy
import datetime
import json
import re
import ssl
import sys
import threading
import time
import unicodedata

import paho.mqtt.client as mqtt
from awsiot import iotidentity, iotjobs, iotshadow
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

SHADOW_BYTES_MAX = 8192
TOKEN_BYTES_MAX = 64
FINAL = {"SUCCEEDED", "FAILED", "REJECTED", "CANCELED", "TIMED_OUT", "REMOVED"}


def say(*parts):
    print(*parts, flush=True)


def plain(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


class Fault(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Fault(text)


def merge(into, patch):
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = without_null(value)


def without_null(value):
    if isinstance(value, dict):
        return {key: without_null(value) for key, value in value.items() if value is not None}
    return value


def difference(desired, reported):
    delta = {}
    for key, value in desired.items():
        if key not in reported:
            delta[key] = value
        elif isinstance(value, dict) and isinstance(reported[key], dict):
            inner = difference(value, reported[key])
            if inner:
                delta[key] = inner
        elif reported[key] != value:
            delta[key] = value
    return delta


def depth(value):
    if isinstance(value, dict):
        return 1 + max([depth(inner) for inner in value.values()], default=0)
    return 0


class Cloud:
    def __init__(self, options):
        self.options = options
        self.lock = threading.RLock()
        self.shadows = {}
        self.jobs = []
        self.silent = {}
        self.tokens = {}
        self.conflicts = 0
        self.queued = 0
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="double")
        self.client.tls_set(options.ca, options.cert, options.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.on_connect = self.connected
        self.client.on_subscribe = lambda *_: say("ready")
        self.client.on_message = self.message

    def run(self):
        self.client.connect(self.options.host, self.options.port)
        self.client.loop_forever()

    def connected(self, client, *_):
        client.subscribe([("$aws/#", 1), ("logs/#", 1), ("double/do", 1)])

    def publish(self, topic, body):
        self.client.publish(topic, plain(body) if not isinstance(body, (str, bytes)) else body, qos=1)

    def message(self, _client, _data, message):
        with self.lock:
            try:
                self.route(message.topic, message.payload)
            except Fault as fault:
                say("fault", message.topic, fault)
            except Exception as error:  # A double that fails must not be silent.
                say("fault", message.topic, repr(error))

    def route(self, topic, payload):
        if topic == "double/do":
            return self.do(json.loads(payload))
        if topic.startswith("logs/"):
            return self.log(topic, payload)
        shadow = re.fullmatch(r"\$aws/things/([^/]+)/shadow((?:/name/[^/]+)?)/(get|update)", topic)
        if shadow:
            return self.shadow(shadow[1], shadow[2], shadow[3], topic, payload)
        job = re.fullmatch(r"\$aws/things/([^/]+)/jobs/(start-next|(?:([^/]+)/)(get|update))", topic)
        if job:
            return self.job(job[1], topic, job[3], job[4] or "start-next", payload)
        if topic in ("$aws/certificates/create-from-csr/json", "$aws/certificates/create/json"):
            return self.create(topic, payload)
        template = re.fullmatch(r"\$aws/provisioning-templates/([^/]+)/provision/json", topic)
        if template:
            return self.provision(topic, template[1], payload)
        end = topic.rsplit("/", 1)[-1]
        check(end in ("accepted", "rejected", "delta", "notify-next"), "nobody listens here")

    def is_silent(self, what):
        if self.silent.get(what, 0) > 0:
            self.silent[what] -= 1
            say("silent", what)
            return True
        return False

    def read(self, payload, known):
        check(len(payload) <= 128 * 1024, "a payload of more than 128 KiB")
        body = json.loads(payload) if payload else {}
        check(isinstance(body, dict), "not an object")
        check(set(body) <= known, f"unknown keys {sorted(set(body) - known)}")
        token = body.get("clientToken")
        if "clientToken" in known:
            check(isinstance(token, str) and 0 < len(token.encode()) <= TOKEN_BYTES_MAX, "clientToken")
        return body

    # Shadows.

    def shadow(self, thing, name, what, topic, payload):
        document = self.shadows.get(name)
        now = int(time.time())
        if what == "get":
            body = self.read(payload, {"clientToken"})
            same(iotshadow.GetShadowRequest(thing_name=thing, client_token=body["clientToken"]), body)
            if self.is_silent("shadow"):
                return
            answer = {"clientToken": body["clientToken"], "timestamp": now}
            if document is None:
                answer.update(code=404, message="No shadow exists with name")
                say("shadow asked, none")
                return self.publish(topic + "/rejected", answer)
            answer.update(state=self.state(document), version=document["version"], metadata={})
            say("shadow asked", document["version"])
            return self.publish(topic + "/accepted", answer)
        body = self.read(payload, {"clientToken", "state", "version"})
        state = iotshadow.ShadowState(reported=body["state"].get("reported"))
        request = iotshadow.UpdateShadowRequest(
            thing_name=thing, client_token=body["clientToken"], state=state, version=body.get("version"))
        same(request, body)
        check(set(body["state"]) == {"reported"}, "a device reports")
        check(isinstance(body["state"]["reported"], dict), "reported is an object")
        check("version" not in body or isinstance(body["version"], int) and body["version"] > 0, "version")
        if self.is_silent("shadow"):
            return
        answer = {"clientToken": body["clientToken"], "timestamp": now}
        if self.conflicts > 0:
            self.conflicts -= 1
            document["version"] += 1
        version = document["version"] if document else 0
        if "version" in body and body["version"] != version:
            say("shadow conflict", body["version"], version)
            answer.update(code=409, message="Version conflict")
            return self.publish(topic + "/rejected", answer)
        document = document or {"version": 0, "desired": {}, "reported": {}}
        changed = copy.deepcopy(document)
        merge(changed["reported"], body["state"]["reported"])
        size = len(plain({"desired": changed["desired"], "reported": changed["reported"]}))
        if size > SHADOW_BYTES_MAX:
            say("shadow too large", size)
            answer.update(code=413, message="The payload exceeds the maximum size allowed")
            return self.publish(topic + "/rejected", answer)
        check(depth(changed["reported"]) <= 8, "too many levels")
        changed["version"] += 1
        self.shadows[name] = changed
        say("shadow", changed["version"], plain(changed["reported"]))
        answer.update(state=body["state"], version=changed["version"], metadata={})
        self.publish(topic + "/accepted", answer)
        self.delta(thing, name)

    def state(self, document):
        state = {key: document[key] for key in ("desired", "reported") if document[key]}
        delta = difference(document["desired"], document["reported"])
        if delta:
            state["delta"] = delta
        return state

    def delta(self, thing, name):
        document = self.shadows[name]
        delta = difference(document["desired"], document["reported"])
        if delta:
            body = {"version": document["version"], "timestamp": int(time.time()), "state": delta, "metadata": {}}
            self.publish(f"$aws/things/{thing}/shadow{name}/update/delta", body)

    def desire(self, thing, name, value):
        document = self.shadows.setdefault(name, {"version": 0, "desired": {}, "reported": {}})
        merge(document["desired"], value)
        document["version"] += 1
        body = {"version": document["version"], "timestamp": int(time.time()), "state": {"desired": value}, "metadata": {}}
        self.publish(f"$aws/things/{thing}/shadow{name}/update/accepted", body)
        self.delta(thing, name)

    # Jobs.

    def job(self, thing, topic, job_id, what, payload):
        if what == "start-next":
            body = self.read(payload, {"clientToken", "statusDetails", "stepTimeoutInMinutes"})
            request = iotjobs.StartNextPendingJobExecutionRequest(
                thing_name=thing, client_token=body["clientToken"],
                step_timeout_in_minutes=body.get("stepTimeoutInMinutes"))
            same(request, body)
            if self.is_silent("jobs"):
                return
            job = self.next_job()
            answer = {"clientToken": body["clientToken"], "timestamp": int(time.time())}
            if job:
                if job["status"] == "QUEUED":
                    job.update(status="IN_PROGRESS", version=job["version"] + 1)
                say("job", job["id"], "started")
                answer["execution"] = self.execution(job, True)
            return self.publish(topic + "/accepted", answer)
        known = {"clientToken", "executionNumber", "includeJobDocument"}
        if what == "update":
            known |= {"status", "statusDetails", "expectedVersion", "includeJobExecutionState", "stepTimeoutInMinutes"}
        body = self.read(payload, known)
        job = next((job for job in self.jobs if job["id"] == job_id), None)
        if what == "get":
            request = iotjobs.DescribeJobExecutionRequest(
                thing_name=thing, job_id=job_id, client_token=body["clientToken"],
                execution_number=body.get("executionNumber"), include_job_document=body.get("includeJobDocument"))
        else:
            request = iotjobs.UpdateJobExecutionRequest(
                thing_name=thing, job_id=job_id, client_token=body["clientToken"], status=body.get("status"),
                status_details=body.get("statusDetails"), expected_version=body.get("expectedVersion"),
                execution_number=body.get("executionNumber"),
                include_job_execution_state=body.get("includeJobExecutionState"),
                step_timeout_in_minutes=body.get("stepTimeoutInMinutes"))
        same(request, body)
        if self.is_silent("jobs"):
            return
        answer = {"clientToken": body["clientToken"], "timestamp": int(time.time())}
        if job is None or body.get("executionNumber", job["number"]) != job["number"]:
            answer.update(code="ResourceNotFound", message="no such execution")
            return self.publish(topic + "/rejected", answer)
        if what == "get":
            if job["status"] in FINAL:
                answer.update(code="TerminalStateReached", message="it has ended")
                return self.publish(topic + "/rejected", answer)
            answer["execution"] = self.execution(job, body.get("includeJobDocument", True))
            return self.publish(topic + "/accepted", answer)
        self.update(topic, thing, job, body, answer)

    def update(self, topic, thing, job, body, answer):
        status, details = body["status"], body.get("statusDetails", {})
        check(status in ("IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"), "a status that devices do not set")
        for key, value in details.items():
            check(re.fullmatch(r"[a-zA-Z0-9:_-]{1,128}", key), f"the detail {key}")
            check(isinstance(value, str) and 1 <= len(value) <= 1024, f"the detail {key}")
            # `[^\p{C}]+`
            check(not any(unicodedata.category(char).startswith("C") for char in value), f"the detail {key}")
        minutes = body.get("stepTimeoutInMinutes", 1)
        check(minutes == -1 or 1 <= minutes <= 10080, "stepTimeoutInMinutes")
        state = {"status": job["status"], "statusDetails": job["details"], "versionNumber": job["version"]}
        if job["status"] in FINAL:
            answer.update(code="InvalidStateTransition", message="it has ended", executionState=state)
            say("job", job["id"], "refused", status, "as", job["status"])
            return self.publish(topic + "/rejected", answer)
        if "expectedVersion" in body and body["expectedVersion"] != job["version"]:
            answer.update(code="VersionMismatch", message="another version", executionState=state)
            say("job", job["id"], "mismatch")
            return self.publish(topic + "/rejected", answer)
        job.update(status=status, details=details, version=job["version"] + 1)
        say("job", job["id"], status, plain(details))
        if body.get("includeJobExecutionState"):
            answer["executionState"] = {"status": status, "statusDetails": details, "versionNumber": job["version"]}
        self.publish(topic + "/accepted", answer)
        if status in FINAL:
            self.notify(thing)

    def next_job(self):
        open_jobs = [job for job in self.jobs if job["status"] not in FINAL]
        return next((job for job in open_jobs if job["status"] == "IN_PROGRESS"), next(iter(open_jobs), None))

    def execution(self, job, with_document):
        now = int(time.time())
        execution = {
            "jobId": job["id"], "thingName": self.options.thing, "status": job["status"], "queuedAt": job["queued"],
            "lastUpdatedAt": now, "versionNumber": job["version"], "executionNumber": job["number"],
        }
        if job["details"]:
            execution["statusDetails"] = job["details"]
        if with_document:
            execution["jobDocument"] = job["document"]
        return execution

    def notify(self, thing):
        job = self.next_job()
        body = {"timestamp": int(time.time())}
        body["execution"] = self.execution(job, True) if job else {}
        self.publish(f"$aws/things/{thing}/jobs/notify-next", body)

    # Provisioning.

    def create(self, topic, payload):
        check("from-csr" in topic, "the key is to be made there")
        body = self.read(payload, {"certificateSigningRequest"})
        request = iotidentity.CreateCertificateFromCsrRequest(
            certificate_signing_request=body["certificateSigningRequest"])
        same(request, body)
        if self.is_silent("create"):
            return
        request = x509.load_pem_x509_csr(body["certificateSigningRequest"].encode())
        check(request.is_signature_valid, "a request that its key did not sign")
        with open(self.options.ca, "rb") as file:
            ca = x509.load_pem_x509_certificate(file.read())
        with open(self.options.ca_key, "rb") as file:
            key = serialization.load_pem_private_key(file.read(), None)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "AWS IoT Certificate")])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(ca.subject)
            .public_key(request.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
            .sign(key, hashes.SHA256()))
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = False
        say("certificate made")
        self.publish(topic + "/accepted", {
            "certificateOwnershipToken": token, "certificateId": f"{certificate.serial_number:064x}",
            "certificatePem": certificate.public_bytes(serialization.Encoding.PEM).decode()})

    def provision(self, topic, template, payload):
        body = self.read(payload, {"certificateOwnershipToken", "parameters"})
        request = iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token=body["certificateOwnershipToken"],
            parameters=body["parameters"])
        same(request, body)
        if self.is_silent("provision"):
            return
        def reject(status, code, text):
            say("provisioning refused", code)
            self.publish(topic + "/rejected", {"statusCode": status, "errorCode": code, "errorMessage": text})
        if body["certificateOwnershipToken"] not in self.tokens:
            return reject(400, "InvalidCertificateOwnershipToken", "expired")
        if "SerialNumber" not in body["parameters"]:
            return reject(400, "InvalidParameters", "SerialNumber is missing")
        say("provisioned", self.options.thing)
        self.publish(topic + "/accepted", {"thingName": self.options.thing, "deviceConfiguration": {"site": "a"}})

    # Logs.

    def log(self, topic, payload):
        check(len(payload) <= 128 * 1024, "a payload of more than 128 KiB")
        for line in payload.decode().splitlines():
            line = json.loads(line)
            check({"at", "source", "level", "text"} <= set(line), "a line without its parts")
            say("log", line["source"], line["level"], plain(line["text"]), plain(line.get("dropped", {})))

    # Orders.

    def do(self, order):
        thing = self.options.thing
        what = order.pop("do")
        if what == "desire":
            self.desire(thing, order.get("name", "/name/selvedge"), order["value"])
        elif what == "job":
            # One that is deleted leaves its name and number to others.
            self.jobs = [job for job in self.jobs if job["id"] != order["id"]]
            self.queued = max(self.queued + 1, int(time.time()))
            self.jobs.append({"id": order["id"], "number": order.get("number", 1), "status": "QUEUED",
                              "version": 1, "details": {}, "document": order["document"], "queued": self.queued})
            self.notify(thing)
        elif what == "cancel":
            job = next(job for job in self.jobs if job["id"] == order["id"])
            job.update(status=order.get("status", "CANCELED"), version=job["version"] + 1)
            self.notify(thing)
        elif what == "touch":
            job = next(job for job in self.jobs if job["id"] == order["id"])
            job.update(version=job["version"] + 5)
        elif what == "silence":
            self.silent[order["what"]] = order["times"]
        elif what == "conflict":
            self.conflicts = order["times"]
        elif what == "forget":
            self.tokens.clear()
        elif what == "raw":
            for _ in range(order.get("times", 1)):
                self.publish(order["topic"], order["payload"])
        elif what == "say":
            say(order["text"])
        elif what == "end":
            say("end")
            self.client.disconnect()
            sys.stdout.flush()


def same(request, body):
    """The SDK writes the same request: what is ours beside it is a fault."""
    theirs = request.to_payload()
    check(theirs == body, f"the SDK writes {plain(theirs)}, not {plain(body)}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("host", "ca", "ca-key", "cert", "key", "thing"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--port", type=int, required=True)
    Cloud(parser.parse_args()).run()


main()
