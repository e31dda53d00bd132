"""A device with the AWS IoT Device SDK 2, as a test wants it.

    aws_device.py FOLDER 3.1.1|5 work                   as paho_device.py does
    aws_device.py FOLDER 3.1.1|5 discover HOST PORT THING
                                  finds the gateway, connects to what was found

FOLDER is what `selvedge device add` wrote.
"""

import json
import pathlib
import queue
import sys
import threading

from awscrt import io, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder
from awsiot.greengrass_discovery import DiscoveryClient, DiscoveryException

WAIT_S = 60
KEPT_S = 3600


def say(what):
    print(what, flush=True)


class Device:
    """What both versions have in common."""

    def __init__(self, folder, suffix="", endpoint=None, ca=None):
        about = json.loads((folder / "connection.json").read_text())
        self.name = about["device"]
        self.messages = queue.Queue()
        endpoint = endpoint or about["endpoints"][0]
        authority = {"ca_bytes": ca} if ca else {"ca_filepath": str(folder / about["ca"])}
        self.settings = {
            "endpoint": endpoint["host"],
            "port": endpoint["port"],
            "cert_filepath": str(folder / about["certificate"]),
            "pri_key_filepath": str(folder / about["key"]),
            "client_id": about["client_id"] + suffix,
            **authority,
        }

    def receive(self, topic):
        while True:
            found, payload, qos, retain = self.messages.get(timeout=WAIT_S)
            if found == topic:
                assert int(qos) == 1, qos
                return bytes(payload).decode(), retain


class Device3(Device):
    def connect(self):
        def arrived(topic, payload, dup, qos, retain, **_):
            self.messages.put((topic, payload, qos, retain))

        self.connection = mqtt_connection_builder.mtls_from_path(
            clean_session=False, keep_alive_secs=30, **self.settings)
        self.connection.on_message(arrived)
        return self.connection.connect().result(WAIT_S)["session_present"]

    def disconnect(self):
        self.connection.disconnect().result(WAIT_S)

    def subscribe(self, *filters):
        for each in filters:
            future, _ = self.connection.subscribe(each, mqtt.QoS.AT_LEAST_ONCE)
            assert future.result(WAIT_S)["qos"] == mqtt.QoS.AT_LEAST_ONCE

    def publish(self, topic, payload, retain=False):
        future, _ = self.connection.publish(topic, payload, mqtt.QoS.AT_LEAST_ONCE, retain)
        future.result(WAIT_S)


class Device5(Device):
    def connect(self):
        connected, self.stopped = queue.Queue(), threading.Event()

        def arrived(data):
            packet = data.publish_packet
            self.messages.put((packet.topic, packet.payload, packet.qos, packet.retain))

        self.client = mqtt5_client_builder.mtls_from_path(
            on_publish_received=arrived,
            on_lifecycle_connection_success=lambda data: connected.put((data.connack_packet, None)),
            on_lifecycle_connection_failure=lambda data: connected.put((None, data)),
            on_lifecycle_stopped=lambda _: self.stopped.set(),
            session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
            session_expiry_interval_sec=KEPT_S,
            keep_alive_interval_sec=30,
            **self.settings)
        self.client.start()
        connack, failure = connected.get(timeout=WAIT_S)
        assert connack, failure
        return connack.session_present

    def disconnect(self):
        # Without a packet the session would be cut off, and kept all the same.
        self.client.stop(mqtt5.DisconnectPacket(session_expiry_interval_sec=KEPT_S))
        assert self.stopped.wait(WAIT_S)

    def subscribe(self, *filters):
        wanted = [mqtt5.Subscription(each, mqtt5.QoS.AT_LEAST_ONCE) for each in filters]
        ack = self.client.subscribe(mqtt5.SubscribePacket(wanted)).result(WAIT_S)
        assert [int(code) for code in ack.reason_codes] == [1] * len(filters), ack.reason_codes

    def publish(self, topic, payload, retain=False):
        packet = mqtt5.PublishPacket(
            topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain)
        ack = self.client.publish(packet).result(WAIT_S).puback
        assert int(ack.reason_code) < 0x80, ack.reason_code


def work(folder, kind):
    device = kind(folder)
    name = device.name
    present = device.connect()
    say(f"connected present={present}")
    device.subscribe(f"state/{name}/#", f"command/+/{name}/#")
    device.publish(f"state/{name}/echo", "hello")
    assert device.receive(f"state/{name}/echo") == ("hello", False)
    say("echoed")
    device.publish(f"state/{name}/kept", "stays", retain=True)
    other = kind(folder, "-other")
    other.connect()
    other.subscribe(f"state/{name}/kept")
    assert other.receive(f"state/{name}/kept") == ("stays", True)
    say("retained")
    say("waits for a command")
    payload, _ = device.receive(f"command/line/{name}/do")
    say(f"command {payload}")
    device.disconnect()
    for number in range(3):
        other.publish(f"command/line/{name}/queued", str(number))
    other.disconnect()
    assert device.connect(), "no session"
    queued = [device.receive(f"command/line/{name}/queued")[0] for _ in range(3)]
    assert queued == ["0", "1", "2"], queued
    say("kept")
    device.disconnect()


def discover(folder, kind, host, port, thing):
    about = json.loads((folder / "connection.json").read_text())
    options = io.TlsContextOptions.create_client_with_mtls_from_path(
        str(folder / about["certificate"]), str(folder / about["key"]))
    options.override_default_trust_store_from_path(None, str(folder / about["ca"]))
    client = DiscoveryClient(
        io.ClientBootstrap.get_or_create_static_default(),
        io.SocketOptions(),
        io.ClientTlsContext(options),
        region="",
        gg_server_name=host,
    )
    # It chooses 443; where discovery is answered is an attribute of it.
    client.port = int(port)
    try:
        found = client.discover(thing).result(WAIT_S)
    except DiscoveryException as refused:
        say(f"refused {refused.http_response_code}")
        return
    group = found.gg_groups[0]
    core = group.cores[0].connectivity[0]
    say(f"found {core.host_address}:{core.port}")
    endpoint = {"host": core.host_address, "port": core.port}
    ca = group.certificate_authorities[0].encode()
    device = kind(folder, endpoint=endpoint, ca=ca)
    device.connect()
    say("connected")
    device.disconnect()


if __name__ == "__main__":
    folder, protocol, what, *rest = sys.argv[1:]
    kind = Device5 if protocol == "5" else Device3
    {"work": work, "discover": discover}[what](pathlib.Path(folder), kind, *rest)
