"""A Modbus/TCP server of pymodbus 3.16.1 with known values in every table.

    python server.py [--port 0] [--units 1,2]

Prints `listening 127.0.0.1:PORT` and serves until it is killed. Every unit
starts with the same values; writes change them.

Addresses (from 0, as in the frame):

  coils      0..99      bit n is (n % 3 == 0)
  discrete   0..99      bit n is (n % 5 == 0)
  input      0..99      register n is 1000 + n
  holding    0..49      register n is n
            100..101    f32 123.456, ABCD      102..103  BADC
            104..105    f32 123.456, CDAB      106..107  DCBA
            110..113    f64 -2.5, ABCD         114..117  DCBA
            120..121    i32 -123456, ABCD      122..123  CDAB
            124..127    u64 2**40 + 7, ABCD
            130         i16 -2                 131       0x8000 (sentinel)
            132         BCD 1234               133..134  BCD 12345678
            135         bytes 0xFE 0x01        136       0x8001 (bits 15 and 0)
            137         f16 1.5
            140..145    text "Selvedge" and NULs
            150..169    0, free to write

Everything else answers exception 2. Device identification: vendor
"Selvedge", product code "PEER", revision "1.0", and four more.
"""

import argparse
import asyncio
import struct

from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))


def swapped(registers: list[int]) -> list[int]:
    return [(word & 0xFF) << 8 | word >> 8 for word in registers]


def holding() -> dict[int, list[int]]:
    f32, f64 = words(struct.pack(">f", 123.456)), words(struct.pack(">d", -2.5))
    i32 = words(struct.pack(">i", -123456))
    return {
        0: list(range(50)),
        100: f32,
        102: swapped(f32),
        104: f32[::-1],
        106: swapped(f32)[::-1],
        110: f64,
        114: swapped(f64)[::-1],
        120: i32,
        122: i32[::-1],
        124: words(struct.pack(">Q", 2**40 + 7)),
        130: [0xFFFE, 0x8000, 0x1234, 0x1234, 0x5678, 0xFE01, 0x8001, 0x3E00],
        140: words(b"Selvedge".ljust(12, b"\0")),
        150: [0] * 20,
    }


IDENTITY = {
    0: "Selvedge",
    1: "PEER",
    2: "1.0",
    3: "https://example.org/" + "x" * 100,
    4: "Peer " + "y" * 100,
    5: "Model " + "z" * 100,
    6: "Application",
}


def registers(start: int, values: list[int]) -> SimData:
    return SimData(start, values=values, datatype=DataType.REGISTERS)


def bits(every: int) -> SimData:
    values = [n % every == 0 for n in range(100)]
    return SimData(0, values=values, datatype=DataType.BITS)


def unit(number: int) -> SimDevice:
    return SimDevice(
        id=number,
        simdata=(
            [bits(3)],
            [bits(5)],
            [registers(start, values) for start, values in holding().items()],
            [registers(0, [1000 + n for n in range(100)])],
        ),
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--units", default="1,2")
    arguments = parser.parse_args()
    units = [int(number) for number in arguments.units.split(",")]
    server = ModbusTcpServer(
        [unit(number) for number in units],
        # Of the server, not of a unit: 3.16.1 takes no notice of the latter.
        identity=ModbusDeviceIdentification(info=IDENTITY),
        address=("127.0.0.1", arguments.port),
    )
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    print(f"listening 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
