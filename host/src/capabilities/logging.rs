//! `wasi:logging`, and whatever a plugin writes to its standard streams.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::PluginState;
use super::bindings::wasi::logging::logging::{self, Host, Level};
use super::foreign_text::fit;
use super::port::{LogLevel, Port};

/// Bytes of one line; a longer one is cut.
const LINE_BYTES_MAX: usize = 4096;

pub(super) fn link(linker: &mut Linker<PluginState>) -> wasmtime::Result<()> {
    logging::add_to_linker::<_, HasSelf<PluginState>>(linker, |state| state)
}

impl Host for PluginState {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
            Level::Critical => LogLevel::Critical,
        };
        let (context, message) = (fit(&context, LINE_BYTES_MAX), fit(&message, LINE_BYTES_MAX));
        self.port.log(level, &context, &message);
        Ok(())
    }
}

/// A standard stream whose lines become log lines.
#[derive(Clone)]
pub(super) struct LineStream {
    port: Arc<dyn Port>,
    level: LogLevel,
    line: Arc<Mutex<Vec<u8>>>,
}

impl LineStream {
    pub(super) fn new(port: Arc<dyn Port>, level: LogLevel) -> Self {
        Self {
            port,
            level,
            line: Arc::default(),
        }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock();
        for &byte in bytes {
            if byte != b'\n' && line.len() < LINE_BYTES_MAX {
                line.push(byte);
            }
            if byte == b'\n' && !line.is_empty() {
                let text = String::from_utf8_lossy(&line);
                self.port
                    .log(self.level, "", &fit(text.trim_end(), LINE_BYTES_MAX));
                line.clear();
            }
        }
    }
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
