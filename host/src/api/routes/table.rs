//! The rows: what there is, for whom, and what answers.

use axum::http::StatusCode;
use serde_json::Value;

use super::kinds::{LONG, get, operating, parameter, post, probe, schema_of, taking_in};
use super::{Gives, Parameter, Route, Takes, Verb};
use crate::api::answers::{changes, deployments, devices, messages, probes, records, state};
use crate::api::metrics;
use crate::api::wire::device::DeviceList;
use crate::api::wire::{
    DeadLetter, HostStatus, KeptTopic, LogLine, Parties, RollBackRequest, SubmitRequest,
    SwapRequest, Tapped, WireMessage,
};
use crate::deployment::deployments::{ModelReport, PluginReport};
use crate::deployment::plan::Plan;
use crate::deployment::report::DeploymentReport;
use crate::inference::BackendStatus;
use crate::uplink::UplinkStatus;

const PLUGIN: Parameter = parameter("plugin", "string", "Only of this plugin.");
const FOLLOW: Parameter = parameter("follow", "boolean", "Go on with what comes.");

/// Everything that can be asked for.
pub(in crate::api) const ROUTES: &[Route] = &[
    get(
        "/v1/status",
        "status",
        "How the host fares.",
        Gives::Json(schema_of::<HostStatus>),
        |asked| Box::pin(state::status(asked)),
    ),
    Route {
        query: &[
            parameter("before", "integer", "Only those with a lower number."),
            parameter(
                "limit",
                "integer",
                "At most so many; 50 unless given, 500 at most.",
            ),
        ],
        ..get(
            "/v1/deployments",
            "deployments",
            "Deployments, newest first.",
            Gives::Json(schema_of::<Vec<DeploymentReport>>),
            |asked| Box::pin(deployments::list(asked)),
        )
    },
    taking_in(
        "/v1/deployments",
        "submit",
        "Takes a deployment in; it goes on by itself.",
        schema_of::<SubmitRequest>,
        |asked| Box::pin(changes::submit(asked)),
    ),
    get(
        "/v1/deployments/{id}",
        "deployment",
        "One deployment.",
        Gives::Json(schema_of::<DeploymentReport>),
        |asked| Box::pin(deployments::one(asked)),
    ),
    get(
        "/v1/deployments/{id}/document",
        "document",
        "Its document, as it was handed in.",
        Gives::Text("application/toml"),
        |asked| Box::pin(deployments::document(asked)),
    ),
    get(
        "/v1/deployments/{id}/events",
        "events",
        "What is known of it at once, what happens to it, and at last its report.",
        Gives::Lines(schema_of::<deployments::Line>),
        |asked| Box::pin(deployments::events(asked)),
    ),
    Route {
        changes: false,
        time_max: LONG,
        ..post(
            "/v1/plans",
            "plan",
            "What a deployment would change. Nothing is changed.",
            (
                Takes::Json(schema_of::<SubmitRequest>),
                Gives::Json(schema_of::<Plan>),
            ),
            |asked| Box::pin(changes::plan(asked)),
        )
    },
    Route {
        verb: Verb::Put,
        status: StatusCode::NO_CONTENT,
        time_max: LONG,
        ..post(
            "/v1/files/{digest}",
            "putFile",
            "Hands in a file that a document to come names. `digest` is `sha256:` and 64 digits.",
            (Takes::Bytes, Gives::Nothing),
            |asked| Box::pin(changes::file(asked)),
        )
    },
    taking_in(
        "/v1/rollback",
        "rollBack",
        "Deploys again what another deployment was.",
        schema_of::<RollBackRequest>,
        |asked| Box::pin(changes::roll_back(asked)),
    ),
    get(
        "/v1/plugins",
        "plugins",
        "Every plugin.",
        Gives::Json(schema_of::<Vec<PluginReport>>),
        |asked| Box::pin(state::plugins(asked)),
    ),
    get(
        "/v1/plugins/{name}",
        "plugin",
        "One plugin.",
        Gives::Json(schema_of::<PluginReport>),
        |asked| Box::pin(state::plugin(asked)),
    ),
    operating(
        "/v1/plugins/{name}/stop",
        "stopPlugin",
        "Stops it until it is started; also after a restart of the host.",
        |asked| Box::pin(changes::stop(asked)),
    ),
    operating(
        "/v1/plugins/{name}/start",
        "startPlugin",
        "Starts it if it was stopped or given up.",
        |asked| Box::pin(changes::start(asked)),
    ),
    operating(
        "/v1/plugins/{name}/restart",
        "restartPlugin",
        "Starts it afresh: its state is lost, what waits for it is not.",
        |asked| Box::pin(changes::restart(asked)),
    ),
    taking_in(
        "/v1/plugins/{name}/swap",
        "swapPlugin",
        "Deploys the document in force with another component for it.",
        schema_of::<SwapRequest>,
        |asked| Box::pin(changes::swap(asked)),
    ),
    get(
        "/v1/parties",
        "parties",
        "Everyone on the bus, the host first.",
        Gives::Json(schema_of::<Parties>),
        |asked| Box::pin(state::parties(asked)),
    ),
    get(
        "/v1/uplinks",
        "uplinks",
        "Every MQTT connection outward.",
        Gives::Json(schema_of::<Vec<UplinkStatus>>),
        |asked| Box::pin(state::uplinks(asked)),
    ),
    get(
        "/v1/devices",
        "devices",
        "The devices that may connect by MQTT, and their connections.",
        Gives::Json(schema_of::<DeviceList>),
        |asked| Box::pin(devices::devices(asked)),
    ),
    get(
        "/v1/models",
        "models",
        "Every model.",
        Gives::Json(schema_of::<Vec<ModelReport>>),
        |asked| Box::pin(state::models(asked)),
    ),
    get(
        "/v1/backends",
        "backends",
        "Every library that models could be run with, and why not with some.",
        Gives::Json(schema_of::<Vec<BackendStatus>>),
        |asked| Box::pin(state::backends(asked)),
    ),
    Route {
        query: &[
            parameter("filter", "string", "Only of topics that it matches."),
            parameter(
                "limit",
                "integer",
                "At most so many; 1,000 unless given, 10,000 at most.",
            ),
        ],
        ..get(
            "/v1/topics",
            "topics",
            "Topics that have a kept value.",
            Gives::Json(schema_of::<Vec<KeptTopic>>),
            |asked| Box::pin(messages::topics(asked)),
        )
    },
    Route {
        query: &[
            PLUGIN,
            FOLLOW,
            parameter(
                "lines",
                "integer",
                "At most so many of before; 100 unless given.",
            ),
        ],
        ..get(
            "/v1/logs",
            "logs",
            "What plugins logged, oldest first.",
            Gives::Lines(schema_of::<LogLine>),
            |asked| Box::pin(records::logs(asked)),
        )
    },
    Route {
        query: &[
            PLUGIN,
            FOLLOW,
            parameter(
                "limit",
                "integer",
                "At most so many of before; 100 unless given.",
            ),
        ],
        ..get(
            "/v1/dead-letters",
            "deadLetters",
            "Messages that were given up, oldest first.",
            Gives::Lines(schema_of::<DeadLetter>),
            |asked| Box::pin(records::dead_letters(asked)),
        )
    },
    Route {
        query: &[
            Parameter {
                required: true,
                repeats: true,
                ..parameter("filter", "string", "A topic filter; 16 at most.")
            },
            parameter("kept", "boolean", "Begin with the kept values."),
        ],
        ..get(
            "/v1/tap",
            "tap",
            "Messages as they pass. Who reads too slowly misses some.",
            Gives::Lines(schema_of::<Tapped>),
            |asked| Box::pin(messages::tap(asked)),
        )
    },
    Route {
        status: StatusCode::NO_CONTENT,
        query: &[parameter(
            "settled",
            "boolean",
            "Answer when all who answer for it have handled it or have it on the disk.",
        )],
        ..post(
            "/v1/publish",
            "publish",
            "Publishes a message as the party `operator`.",
            (Takes::Json(schema_of::<WireMessage>), Gives::Nothing),
            |asked| Box::pin(messages::publish(asked)),
        )
    },
    get(
        "/v1/openapi.json",
        "openapi",
        "This document.",
        Gives::Json(schema_of::<Value>),
        |asked| Box::pin(probes::openapi(asked)),
    ),
    get(
        "/metrics",
        "metrics",
        "What the host counts, for Prometheus.",
        Gives::Text(metrics::MEDIA_TYPE),
        |asked| Box::pin(probes::metrics(asked)),
    ),
    probe(
        "/healthz",
        "healthz",
        "Whether the host works at all.",
        |asked| Box::pin(probes::healthz(asked)),
    ),
    probe(
        "/readyz",
        "readyz",
        "Whether what should run does, and keeps up.",
        |asked| Box::pin(probes::readyz(asked)),
    ),
];
