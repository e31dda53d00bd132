//! Kinds of routes: what those have in common that look, change, take a deployment in,
//! operate a plugin or are asked by machines.

use std::time::Duration;

use axum::http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{Answer, Gives, Parameter, Route, SchemaOf, Takes, Verb};
use crate::api::access::Role;
use crate::api::request::Asked;
use crate::api::wire::{Health, Submitted};
use crate::deployment::deployments::PluginReport;

/// How long an answer may take; for streams, until it begins.
const USUAL: Duration = Duration::from_secs(30);
/// The same where a plugin may use up its grace.
const GRACE: Duration = Duration::from_secs(300);
/// The same where artifacts may have to be brought, or a file arrives.
pub(super) const LONG: Duration = Duration::from_secs(900);

/// What the document says of a type.
pub(super) fn schema_of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

/// A part of the query, which may be left out.
pub(super) const fn parameter(
    name: &'static str,
    kind: &'static str,
    about: &'static str,
) -> Parameter {
    Parameter {
        name,
        kind,
        about,
        required: false,
        repeats: false,
    }
}

/// What looks: for viewers, and without a body.
pub(super) const fn get(
    path: &'static str,
    name: &'static str,
    about: &'static str,
    gives: Gives,
    answer: fn(Asked) -> Answer,
) -> Route {
    Route {
        verb: Verb::Get,
        path,
        name,
        about,
        role: Role::Viewer,
        changes: false,
        query: &[],
        takes: Takes::Nothing,
        status: StatusCode::OK,
        gives,
        gives_either_way: false,
        time_max: USUAL,
        answer,
    }
}

/// What changes something: for operators, and written down.
pub(super) const fn post(
    path: &'static str,
    name: &'static str,
    about: &'static str,
    (takes, gives): (Takes, Gives),
    answer: fn(Asked) -> Answer,
) -> Route {
    Route {
        verb: Verb::Post,
        role: Role::Operator,
        changes: true,
        takes,
        ..get(path, name, about, gives, answer)
    }
}

/// What takes a deployment in.
pub(super) const fn taking_in(
    path: &'static str,
    name: &'static str,
    about: &'static str,
    takes: SchemaOf,
    answer: fn(Asked) -> Answer,
) -> Route {
    let gives = Gives::Json(schema_of::<Submitted>);
    Route {
        status: StatusCode::ACCEPTED,
        time_max: LONG,
        ..post(path, name, about, (Takes::Json(takes), gives), answer)
    }
}

/// What is done to one plugin.
pub(super) const fn operating(
    path: &'static str,
    name: &'static str,
    about: &'static str,
    answer: fn(Asked) -> Answer,
) -> Route {
    let gives = Gives::Json(schema_of::<PluginReport>);
    Route {
        time_max: GRACE,
        ..post(path, name, about, (Takes::Nothing, gives), answer)
    }
}

/// For machines that watch the host.
pub(super) const fn probe(
    path: &'static str,
    name: &'static str,
    about: &'static str,
    answer: fn(Asked) -> Answer,
) -> Route {
    Route {
        role: Role::Anyone,
        gives_either_way: true,
        ..get(path, name, about, Gives::Json(schema_of::<Health>), answer)
    }
}
