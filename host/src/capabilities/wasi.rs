//! The base of WASI that every language's runtime expects, with nothing behind
//! it: no environment, no arguments, no directories, streams that end in the
//! log, coarse clocks, bounded random bytes.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings;
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{WasiCtx, WasiView as _};

use super::PluginState;
use super::clock::{CoarseMonotonic, CoarseWall};
use super::logging::LineStream;
use super::network::{self, NetworkPolicy};
use super::port::{LogLevel, Port};

/// Random bytes in one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// All but name resolution, which is ours.
pub(super) fn link(linker: &mut Linker<PluginState>) -> wasmtime::Result<()> {
    use bindings::{cli, clocks, filesystem, io, random, sockets};

    let l = linker;
    io::error::add_to_linker::<_, HasTable>(l, |state| &mut state.table)?;
    io::poll::add_to_linker::<_, HasTable>(l, |state| &mut state.table)?;
    io::streams::add_to_linker::<_, HasTable>(l, |state| &mut state.table)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, PluginState::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, PluginState::clocks)?;
    random::random::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, PluginState::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, PluginState::filesystem)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, PluginState::cli)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<_, WasiSockets>(l, &options, PluginState::sockets)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(l, PluginState::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, PluginState::sockets)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(l, PluginState::sockets)?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, PluginState::sockets)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(l, PluginState::sockets)
}

pub(super) fn grant(port: &Arc<dyn Port>, policy: &Arc<NetworkPolicy>) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    builder
        .stdout(LineStream::new(Arc::clone(port), LogLevel::Info))
        .stderr(LineStream::new(Arc::clone(port), LogLevel::Warn))
        .wall_clock(CoarseWall)
        .monotonic_clock(CoarseMonotonic::new())
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_blocking_current_thread(false);
    network::grant(&mut builder, policy);
    builder.build()
}
