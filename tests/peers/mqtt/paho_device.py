"""A device with Eclipse Paho, as a test wants it.

    paho_device.py FOLDER 3.1.1|5 work     all that a device does, see `work`
    paho_device.py FOLDER 3.1.1|5 stay     connects, and says why it is cut off

FOLDER is what `selvedge device add` wrote; the device may publish and subscribe
state/NAME/# and command/+/NAME/#. Each step that was done is a line on standard
output; a step that fails ends the program.
"""

import json
import pathlib
import queue
import ssl
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT_S = 60
KEPT_S = 3600


def say(what):
    print(what, flush=True)


class Client:
    def __init__(self, folder, protocol, suffix=""):
        about = json.loads((folder / "connection.json").read_text())
        self.five = protocol == "5"
        self.endpoint = about["endpoints"][0]
        self.name = about["device"]
        self.events = {kind: queue.Queue() for kind in ("link", "subscribed", "published", "message")}
        settings = {} if self.five else {"clean_session": False}
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=about["client_id"] + suffix,
            protocol=mqtt.MQTTv5 if self.five else mqtt.MQTTv311,
            reconnect_on_failure=False,
            **settings,
        )
        context = ssl.create_default_context(cafile=folder / about["ca"])
        context.load_cert_chain(folder / about["certificate"], folder / about["key"])
        self.client.tls_set_context(context)
        put = self.events
        self.client.on_connect = lambda c, u, flags, reason, p: put["link"].put((True, flags, reason))
        self.client.on_disconnect = lambda c, u, flags, reason, p: put["link"].put((False, flags, reason))
        self.client.on_subscribe = lambda c, u, mid, reasons, p: put["subscribed"].put(reasons)
        self.client.on_publish = lambda c, u, mid, reason, p: put["published"].put(reason)
        self.client.on_message = lambda c, u, message: put["message"].put(message)

    def wait(self, kind):
        return self.events[kind].get(timeout=WAIT_S)

    def connect(self):
        """Whether there was a session."""
        settings = {}
        if self.five:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = KEPT_S
            settings = {"clean_start": False, "properties": properties}
        self.client.connect(self.endpoint["host"], self.endpoint["port"], keepalive=30, **settings)
        self.client.loop_start()
        up, flags, reason = self.wait("link")
        assert up and not reason.is_failure, reason
        return flags.session_present

    def disconnect(self):
        self.client.disconnect()
        self.cut_off()

    def cut_off(self):
        """Why the connection ended, once it has."""
        up, _, reason = self.wait("link")
        assert not up, reason
        self.client.loop_stop()
        return reason

    def subscribe(self, *filters):
        self.client.subscribe([(each, 1) for each in filters])
        reasons = self.wait("subscribed")
        assert [reason.value for reason in reasons] == [1] * len(filters), reasons

    def publish(self, topic, payload, retain=False):
        self.client.publish(topic, payload, qos=1, retain=retain)
        reason = self.wait("published")
        assert not reason.is_failure, reason

    def receive(self, topic):
        while True:
            message = self.wait("message")
            if message.topic == topic:
                assert message.qos == 1, message.qos
                return message.payload.decode(), message.retain


def work(folder, protocol):
    device = Client(folder, protocol)
    name = device.name
    present = device.connect()
    say(f"connected present={present}")
    device.subscribe(f"state/{name}/#", f"command/+/{name}/#")
    device.publish(f"state/{name}/echo", "hello")
    assert device.receive(f"state/{name}/echo") == ("hello", False)
    say("echoed")
    device.publish(f"state/{name}/kept", "stays", retain=True)
    other = Client(folder, protocol, "-other")
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


def stay(folder, protocol):
    device = Client(folder, protocol)
    device.connect()
    say("connected")
    say(f"cut off: {device.cut_off()}")
    # Again, as a device does.
    try:
        device.connect()
    except (AssertionError, OSError) as refused:
        say(f"refused: {refused}")
        return
    sys.exit("let in again")


if __name__ == "__main__":
    folder, protocol, what = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    {"work": work, "stay": stay}[what](folder, protocol)
