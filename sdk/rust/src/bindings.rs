//! What `wit-bindgen` makes of the contract in `wit/`.
//!
//! Imports are generated once; then one world for each interface that a plugin
//! may export, so that [`crate::export!`] can combine them.

#![allow(
    missing_docs,
    unreachable_pub,
    elided_lifetimes_in_paths,
    missing_debug_implementations,
    clippy::all,
    clippy::restriction,
    reason = "generated code"
)]

pub mod imports {
    wit_bindgen::generate!({
        path: [
            "../../wit/deps/io", "../../wit/deps/clocks", "../../wit/deps/random",
            "../../wit/deps/config", "../../wit/deps/logging", "../../wit/deps/keyvalue",
            "../../wit/deps/nn", "../../wit/bus", "../../wit/inference", "../../wit/plugin",
        ],
        world: "selvedge:plugin/imports",
        generate_all,
        runtime_path: "::selvedge_plugin::wit_bindgen_rt",
        // One `Pollable` for the inbox, the clock and a plugin's sockets.
        with: { "wasi:io/poll@0.2.12": wasip2::io::poll },
    });
}

pub mod subscriber {
    wit_bindgen::generate!({
        path: [
            "../../wit/deps/io", "../../wit/deps/clocks", "../../wit/deps/random",
            "../../wit/deps/config", "../../wit/deps/logging", "../../wit/deps/keyvalue",
            "../../wit/deps/nn", "../../wit/bus", "../../wit/inference", "../../wit/plugin",
        ],
        world: "selvedge:plugin/exports-subscriber",
        pub_export_macro: true,
        export_macro_name: "export_subscriber",
        default_bindings_module: "::selvedge_plugin::bindings::subscriber",
        runtime_path: "::selvedge_plugin::wit_bindgen_rt",
        with: { "selvedge:bus/types@0.1.0": crate::bindings::imports::selvedge::bus::types },
    });
}

macro_rules! plain_export {
    ($module:ident, $world:literal, $export:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: [
                    "../../wit/deps/io", "../../wit/deps/clocks", "../../wit/deps/random",
                    "../../wit/deps/config", "../../wit/deps/logging", "../../wit/deps/keyvalue",
                    "../../wit/deps/nn", "../../wit/bus", "../../wit/inference", "../../wit/plugin",
                ],
                world: $world,
                pub_export_macro: true,
                export_macro_name: $export,
                runtime_path: "::selvedge_plugin::wit_bindgen_rt",
            });
        }
    };
}

plain_export!(
    lifecycle,
    "selvedge:plugin/exports-lifecycle",
    "export_lifecycle"
);
plain_export!(ticker, "selvedge:plugin/exports-ticker", "export_ticker");
plain_export!(service, "selvedge:plugin/exports-service", "export_service");
plain_export!(
    stateful,
    "selvedge:plugin/exports-stateful",
    "export_stateful"
);
plain_export!(
    authorizer,
    "selvedge:plugin/exports-authorizer",
    "export_authorizer"
);
