//! One unit: asks it, honours its pauses, and knows whether it is up.

use std::cell::Cell;
use std::time::Duration;

use crate::config::Device;
use crate::connection::{Connection, Fault, Target};
use crate::health::{Change, Health};
use crate::net::{Bus, Net};
use crate::outbox::Outbox;
use crate::pdu::{Answer, Request};

/// How often a unit that says it is busy is asked again.
const BUSY_RETRIES: u32 = 2;
/// The least pause before it is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// What every part of the adapter shares.
#[derive(Debug)]
pub struct World<'a, N, B> {
    /// Connections and time.
    pub net: &'a N,
    /// The bus and the log.
    pub bus: &'a B,
    /// What is published, and what was refused.
    pub outbox: Outbox,
    /// Whether the host has asked the plugin to stop.
    pub stopping: Cell<bool>,
    /// How old a command may be.
    pub command_age_max: Duration,
}

/// One unit and its state.
#[derive(Debug)]
pub struct Unit {
    /// As configured.
    pub device: Device,
    health: Health,
    /// When the next request may go out.
    not_before: Duration,
}

/// Why a unit was not asked or gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// It is down and left alone for a while.
    #[error("{0}")]
    Down(String),
    /// It was asked.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl UnitError {
    /// A stable name for replies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Down(_) => "unit-down",
            Self::Fault(fault) => fault.code(),
        }
    }

    /// The exception code, if the unit gave one.
    pub fn exception(&self) -> Option<u8> {
        match self {
            Self::Down(_) => None,
            Self::Fault(fault) => fault.exception(),
        }
    }
}

impl Unit {
    /// A unit that has not been asked yet.
    pub fn new(device: Device) -> Self {
        Self {
            health: Health::new(&device),
            device,
            not_before: Duration::ZERO,
        }
    }

    /// Asks the unit, again after a pause if it says that it is busy.
    ///
    /// # Errors
    /// It is down, or the last try failed.
    pub async fn ask<N: Net, B: Bus>(
        &mut self,
        world: &World<'_, N, B>,
        connection: &mut Connection<N::Stream>,
        request: &Request,
    ) -> Result<Answer, UnitError> {
        self.health
            .admit(world.net.now())
            .map_err(UnitError::Down)?;
        let mut tries = 0;
        loop {
            let outcome = self.ask_once(world, connection, request).await;
            match &outcome {
                Err(fault) if matches!(fault.exception(), Some(5 | 6)) && tries < BUSY_RETRIES => {
                    tries += 1;
                    world.net.sleep(BUSY_PAUSE).await;
                }
                _ => return outcome.map_err(UnitError::Fault),
            }
        }
    }

    async fn ask_once<N: Net, B: Bus>(
        &mut self,
        world: &World<'_, N, B>,
        connection: &mut Connection<N::Stream>,
        request: &Request,
    ) -> Result<Answer, Fault> {
        let pause = self.not_before.saturating_sub(world.net.now());
        if !pause.is_zero() {
            world.net.sleep(pause).await;
        }
        let to = Target {
            address: &self.device.address,
            unit: self.device.unit,
            timeout: Duration::from_millis(self.device.timeout_ms.into()),
        };
        let outcome = connection.ask(world.net, to, request).await;
        let now = world.net.now();
        self.not_before = now + Duration::from_millis(self.device.delay_ms.into());
        self.judge(world.bus, now, &outcome);
        outcome
    }

    /// An exception is an answer, unless a gateway gives it for a silent unit.
    fn judge(&mut self, bus: &impl Bus, now: Duration, outcome: &Result<Answer, Fault>) {
        let change = match outcome {
            Ok(_) => self.health.succeeded(),
            // Nothing was sent: this says nothing about the unit.
            Err(Fault::Request(_)) => None,
            Err(fault) => match fault.exception() {
                Some(10 | 11) | None => self.health.failed(now, fault.to_string()),
                Some(_) => self.health.succeeded(),
            },
        };
        let (name, site) = (&self.device.name, &self.device.site);
        match (change, outcome) {
            (Some(Change::WentDown), Err(fault)) => {
                bus.warn(&format!("device {site}/{name} is down: {fault}"));
            }
            (Some(Change::CameBack), _) => bus.info(&format!("device {site}/{name} is back")),
            _ => {}
        }
    }
}
