"""A Modbus/TCP server that misbehaves as told, of the standard library only.

    python hostile.py MODE [--port 0] [--delay-ms 300] [--every 1]

Prints `listening 127.0.0.1:PORT` and serves until it is killed. Every reading
of register n is n (functions 3 and 4; bits are all set), writes are echoed.
Only every `--every`-th request is answered wrongly, the others as they should.
After SIGUSR1 it behaves.

Modes:
  good          never misbehaves
  late          answers after --delay-ms, in order, each request in full
  short         the header promises more bytes than come, then nothing
  truncated     a consistent frame whose byte count promises more than it has
  long          a frame with more registers than were asked for
  trailing      a right answer with stray bytes after it
  wrong-tid     an identifier that was never used
  zero-tid      identifier 0 always (some gateways do that)
  old-tid       the last answer again, then the right one
  stale-flood   twenty old answers, then the right one
  wrong-unit    another unit's answer
  wrong-function another function's answer
  wrong-count   a byte count that does not fit
  odd-count     an odd byte count
  garbage       random bytes
  huge-length   a header that promises 65535 bytes, and bytes without end
  zero-length   a header that promises none
  exception     exception 4 (--code for another)
  busy          exception 6 (with --every 2: every other time)
  drip          the right answer byte by byte, --delay-ms apart
  close         closes the connection instead of answering
  reset         resets the connection instead of answering
  idle-close    answers, then closes
  silent        never answers
  silent-unit   never answers unit 2; all others at once
"""

import argparse
import os
import signal
import socket
import struct
import threading
import time


def read_exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def frame(tid: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu


def answer(pdu: bytes) -> bytes:
    function = pdu[0]
    if function in (1, 2, 3, 4):
        address, count = struct.unpack(">HH", pdu[1:5])
        if function < 3:
            data = b"\xff" * ((count + 7) // 8)
        else:
            data = b"".join(struct.pack(">H", (address + n) & 0xFFFF) for n in range(count))
        return bytes([function, len(data)]) + data
    if function in (5, 6, 15, 16):
        return pdu[:5]
    if function == 22:
        return pdu[:7]
    return bytes([function | 0x80, 1])


class Peer:
    def __init__(self, arguments: argparse.Namespace, peer: socket.socket) -> None:
        self.arguments = arguments
        self.peer = peer
        self.last = b""

    def serve(self) -> None:
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count = 0
        try:
            while True:
                tid, _, length, unit = struct.unpack(">HHHB", read_exactly(self.peer, 7))
                pdu = read_exactly(self.peer, length - 1)
                count += 1
                right = frame(tid, unit, answer(pdu))
                if count % self.arguments.every:
                    self.peer.sendall(right)
                else:
                    self.misbehave(tid, unit, pdu, right)
                self.last = right
        except (OSError, struct.error):
            pass
        finally:
            self.peer.close()

    def misbehave(self, tid: int, unit: int, pdu: bytes, right: bytes) -> None:
        mode, delay = self.arguments.mode, self.arguments.delay_ms / 1000
        send, good = self.peer.sendall, answer(pdu)
        if mode == "late":
            time.sleep(delay)
            send(right)
        elif mode == "short":
            send(right[:-1])
        elif mode == "truncated":
            send(frame(tid, unit, good[:-2]))
        elif mode == "long":
            send(frame(tid, unit, bytes([good[0], (good[1] + 2) & 0xFF]) + good[2:] + b"\1\2"))
        elif mode == "trailing":
            send(right + b"\x13\x37")
        elif mode == "wrong-tid":
            send(frame((tid + 0x4000) & 0xFFFF, unit, good))
        elif mode == "zero-tid":
            send(frame(0, unit, good))
        elif mode == "old-tid":
            send(self.last + right)
        elif mode == "stale-flood":
            send(self.last * 20 + right)
        elif mode == "wrong-unit":
            send(frame(tid, (unit + 1) & 0xFF, good))
        elif mode == "wrong-function":
            send(frame(tid, unit, bytes([(good[0] + 1) & 0x7F]) + good[1:]))
        elif mode == "wrong-count":
            send(frame(tid, unit, bytes([good[0], (good[1] + 2) & 0xFF]) + good[2:]))
        elif mode == "odd-count":
            send(frame(tid, unit, bytes([good[0], good[1] + 1]) + good[2:] + b"\0"))
        elif mode == "garbage":
            send(os.urandom(200))
        elif mode == "huge-length":
            send(struct.pack(">HHHB", tid, 0, 0xFFFF, unit) + b"\0" * 100_000)
        elif mode == "zero-length":
            send(struct.pack(">HHH", tid, 0, 0))
        elif mode == "exception":
            send(frame(tid, unit, bytes([pdu[0] | 0x80, self.arguments.code])))
        elif mode == "busy":
            send(frame(tid, unit, bytes([pdu[0] | 0x80, 6])))
        elif mode == "drip":
            for byte in right:
                send(bytes([byte]))
                time.sleep(delay)
        elif mode == "close":
            raise ConnectionError
        elif mode == "reset":
            linger = struct.pack("ii", 1, 0)
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            raise ConnectionError
        elif mode == "idle-close":
            send(right)
            raise ConnectionError
        elif mode == "silent" or (mode == "silent-unit" and unit == 2):
            pass
        else:
            send(right)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=300)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--code", type=int, default=4)
    arguments = parser.parse_args()
    signal.signal(signal.SIGUSR1, lambda *_: setattr(arguments, "mode", "good"))
    listener = socket.create_server(("127.0.0.1", arguments.port))
    print(f"listening 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=Peer(arguments, peer).serve, daemon=True).start()


main()
