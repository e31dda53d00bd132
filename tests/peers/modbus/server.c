/*
 * A Modbus/TCP server of libmodbus 3.1.6 with the values of server.py.
 *
 *   cc -I.../include/modbus -o server server.c -L... -lmodbus
 *   ./server [PORT]      0, the default, lets the system choose
 *
 * Prints `listening 127.0.0.1:PORT` and serves one connection after another,
 * any unit, until it is killed. libmodbus has one span of addresses for each
 * table: 100 coils, 100 discrete inputs, 100 input and 170 holding registers,
 * all from 0; addresses that server.py refuses in between hold 0. It has no
 * device identification: function 43 is answered with exception 1.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Puts `count` registers of a big-endian number, in one of four orders. */
static void put(uint16_t *to, uint64_t bits, int count, int swap, int reverse)
{
    for (int i = 0; i < count; i++) {
        uint16_t word = (uint16_t)(bits >> (16 * (count - 1 - i)));
        if (swap)
            word = (uint16_t)(word << 8 | word >> 8);
        to[reverse ? count - 1 - i : i] = word;
    }
}

static void fill(modbus_mapping_t *map)
{
    uint16_t *holding = map->tab_registers;
    float f32 = 123.456f;
    double f64 = -2.5;
    uint32_t f32_bits;
    uint64_t f64_bits;
    const uint16_t odd[] = {0xFFFE, 0x8000, 0x1234, 0x1234, 0x5678, 0xFE01, 0x8001, 0x3E00};
    const char *text = "Selvedge";

    memcpy(&f32_bits, &f32, sizeof f32);
    memcpy(&f64_bits, &f64, sizeof f64);
    for (int i = 0; i < 100; i++) {
        map->tab_bits[i] = i % 3 == 0;
        map->tab_input_bits[i] = i % 5 == 0;
        map->tab_input_registers[i] = (uint16_t)(1000 + i);
    }
    for (int i = 0; i < 50; i++)
        holding[i] = (uint16_t)i;
    put(holding + 100, f32_bits, 2, 0, 0);
    put(holding + 102, f32_bits, 2, 1, 0);
    put(holding + 104, f32_bits, 2, 0, 1);
    put(holding + 106, f32_bits, 2, 1, 1);
    put(holding + 110, f64_bits, 4, 0, 0);
    put(holding + 114, f64_bits, 4, 1, 1);
    put(holding + 120, (uint32_t)-123456, 2, 0, 0);
    put(holding + 122, (uint32_t)-123456, 2, 0, 1);
    put(holding + 124, (UINT64_C(1) << 40) + 7, 4, 0, 0);
    memcpy(holding + 130, odd, sizeof odd);
    for (int i = 0; i < 4; i++)
        holding[140 + i] = (uint16_t)(text[2 * i] << 8 | text[2 * i + 1]);
}

int main(int argc, char **argv)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t length = sizeof at;
    modbus_mapping_t *map = modbus_mapping_new(100, 100, 170, 100);
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!map || !ctx || listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) ||
        listen(listener, 4) || getsockname(listener, (struct sockaddr *)&at, &length)) {
        perror("server");
        return 1;
    }
    fill(map);
    printf("listening 127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(ctx, &listener) < 0)
            return 1;
        for (;;) {
            int got = modbus_receive(ctx, query);
            if (got > 0 && modbus_reply(ctx, query, got, map) >= 0)
                continue;
            if (got == 0)
                continue;
            break;
        }
        modbus_close(ctx);
    }
}
