#!/usr/bin/env python3
"""Connects this device with Eclipse Paho 2 (pip install paho-mqtt).

    connect-paho.py                              show what it may subscribe
    connect-paho.py --publish TOPIC MESSAGE      publish once, with QoS 1
    connect-paho.py --subscribe FILTER --count 1 show one message
"""

import argparse
import json
import pathlib
import ssl
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--protocol", choices=["3.1.1", "5"], default="5")
    parser.add_argument("--publish", nargs=2, metavar=("TOPIC", "MESSAGE"))
    parser.add_argument("--retain", action="store_true")
    parser.add_argument("--subscribe", metavar="FILTER")
    parser.add_argument("--count", type=int, help="end after so many messages")
    options = parser.parse_args()

    about = json.loads((HERE / "connection.json").read_text())
    five = options.protocol == "5"
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=about["client_id"],
        protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311,
    )
    context = ssl.create_default_context(cafile=HERE / about["ca"])
    context.load_cert_chain(HERE / about["certificate"], HERE / about["key"])
    client.tls_set_context(context)
    filters = [options.subscribe] if options.subscribe else about["subscribe"]
    if options.publish and not options.subscribe:
        filters = []
    left = options.count
    failed = []

    def on_connect(client, _userdata, _flags, reason, _properties):
        if reason.is_failure:
            failed.append(f"not connected: {reason}")
            client.disconnect()
            return
        print("connected", flush=True)
        for each in filters:
            client.subscribe(each, qos=1)
        if not filters:
            client.publish(*options.publish, qos=1, retain=options.retain)

    def on_subscribe(client, _userdata, _mid, reasons, _properties):
        failed.extend(f"not subscribed: {reason}" for reason in reasons if reason.is_failure)
        if failed:
            client.disconnect()
        elif options.publish:
            client.publish(*options.publish, qos=1, retain=options.retain)

    def on_publish(client, _userdata, _mid, reason, _properties):
        if reason.is_failure:
            failed.append(f"not published: {reason}")
        else:
            print("published", flush=True)
        if failed or not filters:
            client.disconnect()

    def on_message(client, _userdata, message):
        nonlocal left
        print(message.topic, message.payload.decode(errors="replace"), flush=True)
        left = left and left - 1
        if left == 0:
            client.disconnect()

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_publish = on_publish
    client.on_message = on_message
    error = None
    for endpoint in about["endpoints"]:
        try:
            client.connect(endpoint["host"], endpoint["port"], keepalive=60)
            break
        except OSError as refused:
            error = refused
    else:
        sys.exit(f"no endpoint can be reached: {error}")
    try:
        client.loop_forever(retry_first_connection=False)
    except KeyboardInterrupt:
        client.disconnect()
    if failed:
        sys.exit(failed[0])


if __name__ == "__main__":
    main()
