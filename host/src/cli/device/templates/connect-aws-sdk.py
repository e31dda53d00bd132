#!/usr/bin/env python3
"""Connects this device with the AWS IoT Device SDK 2 (pip install awsiotsdk).

    connect-aws-sdk.py                              show what it may subscribe
    connect-aws-sdk.py --publish TOPIC MESSAGE      publish once, with QoS 1
    connect-aws-sdk.py --subscribe FILTER --count 1 show one message
"""

import argparse
import json
import pathlib
import sys
import threading

from awscrt import exceptions, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

HERE = pathlib.Path(__file__).resolve().parent
WAIT_S = 30


def say(line):
    # In one piece: messages come in another thread.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Session3:
    """MQTT 3.1.1."""

    def __init__(self, settings, received, endpoint):
        self.connection = mqtt_connection_builder.mtls_from_path(
            endpoint=endpoint["host"], clean_session=True, keep_alive_secs=60, **settings)
        try:
            self.connection.connect().result(WAIT_S)
        except exceptions.AwsCrtError as refused:
            sys.exit(f"not connected: {refused}")
        self.received = received

    def subscribe(self, filter):
        def arrived(topic, payload, **_):
            self.received(topic, payload)

        future, _ = self.connection.subscribe(filter, mqtt.QoS.AT_LEAST_ONCE, arrived)
        if future.result(WAIT_S)["qos"] is None:
            sys.exit(f"not subscribed: {filter}")

    def publish(self, topic, message, retain):
        future, _ = self.connection.publish(topic, message, mqtt.QoS.AT_LEAST_ONCE, retain)
        future.result(WAIT_S)

    def close(self):
        self.connection.disconnect().result(WAIT_S)


class Session5:
    """MQTT 5."""

    def __init__(self, settings, received, endpoint):
        self.up, self.down = threading.Event(), threading.Event()
        self.refused = None

        def failed(data):
            packet = data.connack_packet
            self.refused = str(packet.reason_code if packet else data.exception)
            self.up.set()

        def arrived(data):
            packet = data.publish_packet
            received(packet.topic, packet.payload)

        self.client = mqtt5_client_builder.mtls_from_path(
            endpoint=endpoint["host"],
            on_lifecycle_connection_success=lambda _: self.up.set(),
            on_lifecycle_connection_failure=failed,
            on_lifecycle_stopped=lambda _: self.down.set(),
            on_publish_received=arrived,
            **settings)
        self.client.start()
        if not self.up.wait(WAIT_S) or self.refused:
            self.close()
            sys.exit(f"not connected: {self.refused}")

    def subscribe(self, filter):
        wanted = mqtt5.Subscription(filter, mqtt5.QoS.AT_LEAST_ONCE)
        ack = self.client.subscribe(mqtt5.SubscribePacket([wanted])).result(WAIT_S)
        if ack.reason_codes[0] >= 0x80:
            sys.exit(f"not subscribed: {ack.reason_codes[0]!r}")

    def publish(self, topic, message, retain):
        packet = mqtt5.PublishPacket(
            topic=topic, payload=message, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain)
        ack = self.client.publish(packet).result(WAIT_S).puback
        if ack.reason_code >= 0x80:
            sys.exit(f"not published: {ack.reason_code!r}")

    def close(self):
        self.client.stop()
        self.down.wait(WAIT_S)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--protocol", choices=["3.1.1", "5"], default="5")
    parser.add_argument("--publish", nargs=2, metavar=("TOPIC", "MESSAGE"))
    parser.add_argument("--retain", action="store_true")
    parser.add_argument("--subscribe", metavar="FILTER")
    parser.add_argument("--count", type=int, help="end after so many messages")
    options = parser.parse_args()

    about = json.loads((HERE / "connection.json").read_text())
    settings = {
        "port": about["endpoints"][0]["port"],
        "cert_filepath": str(HERE / about["certificate"]),
        "pri_key_filepath": str(HERE / about["key"]),
        "ca_filepath": str(HERE / about["ca"]),
        "client_id": about["client_id"],
    }
    done = threading.Event()
    left = options.count

    def received(topic, payload):
        nonlocal left
        say(f"{topic} {bytes(payload).decode(errors='replace')}")
        left = left and left - 1
        if left == 0:
            done.set()

    kind = Session5 if options.protocol == "5" else Session3
    session = kind(settings, received, about["endpoints"][0])
    say("connected")
    filters = [options.subscribe] if options.subscribe else about["subscribe"]
    if options.publish and not options.subscribe:
        filters = []
    for each in filters:
        session.subscribe(each)
    if options.publish:
        session.publish(*options.publish, options.retain)
        say("published")
    try:
        if filters:
            done.wait()
    except KeyboardInterrupt:
        pass
    session.close()


if __name__ == "__main__":
    main()
