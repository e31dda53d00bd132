//! What `bindgen!` makes of the standard interfaces that we implement.

#![expect(clippy::error_impl_error, reason = "generated code")]

wasmtime::component::bindgen!({
    path: [
        "../wit/deps/io", "../wit/deps/clocks", "../wit/deps/sockets", "../wit/deps/config",
        "../wit/deps/logging", "../wit/deps/keyvalue",
    ],
    inline: "
        package selvedge:host;
        world offered {
            import wasi:config/store@0.2.0-rc.1;
            import wasi:logging/logging@0.1.0-draft;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:sockets/ip-name-lookup@0.2.12;
        }
    ",
    world: "selvedge:host/offered",
    imports: {
        "wasi:keyvalue": async | trappable,
        default: trappable,
    },
    trappable_error_type: {
        "wasi:sockets/network.error-code" => wasmtime_wasi::p2::SocketError,
    },
    with: {
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:sockets/network": wasmtime_wasi::p2::bindings::sockets::network,
        "wasi:sockets/ip-name-lookup.resolve-address-stream": super::network::Addresses,
        "wasi:keyvalue/store.bucket": super::keyvalue::OpenBucket,
    },
});
