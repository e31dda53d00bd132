//! The devices that may connect by MQTT, and who of them is there.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use crate::api::refusal::Refusal;
use crate::api::request::{Asked, json};
use crate::api::wire::device::{
    DeviceConnection, DeviceFault, DeviceList, DeviceReport, DeviceStanding,
};
use crate::broker::ClientStatus;
use crate::devices::{Fault, Registered, Standing};

pub(in crate::api) async fn devices(asked: Asked) -> Result<Response, Refusal> {
    let Some((devices, broker)) = &asked.api.devices else {
        return json(StatusCode::OK, &DeviceList::default());
    };
    let clients = broker.clients();
    let reports = devices.list();
    let reports = reports.iter().map(|device| report(device, &clients));
    let list = DeviceList {
        devices: reports.collect(),
        faults: devices.faults().into_iter().map(fault).collect(),
    };
    json(StatusCode::OK, &list)
}

fn report(registered: &Registered, clients: &[ClientStatus]) -> DeviceReport {
    let device = &registered.device;
    let own = clients.iter().filter(|client| client.device == device.name);
    let revoked = registered.revoked.as_ref();
    DeviceReport {
        name: device.name.clone(),
        class: device.class.clone(),
        standing: match registered.standing {
            Standing::Good => DeviceStanding::Good,
            Standing::Disabled => DeviceStanding::Disabled,
            Standing::Revoked => DeviceStanding::Revoked,
        },
        revoked_at: revoked.map(|revoked| revoked.at),
        revoked_reason: revoked.and_then(|revoked| revoked.reason.clone()),
        note: registered.note.clone(),
        publish: device.publish.clone(),
        subscribe: device.subscribe.clone(),
        connections: own.map(connection).collect(),
    }
}

fn connection(client: &ClientStatus) -> DeviceConnection {
    DeviceConnection {
        client_id: client.client_id.to_string(),
        address: client.address.to_string(),
        since: Timestamp::try_from(client.since).unwrap_or_default(),
    }
}

fn fault(fault: Fault) -> DeviceFault {
    let name = fault.path.file_name().unwrap_or_default();
    DeviceFault {
        file: name.to_string_lossy().into_owned(),
        code: fault.code.to_owned(),
        reason: fault.reason,
    }
}
