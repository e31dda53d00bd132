//! The OpenAPI 3.1 document, made from the table of routes.
//!
//! Its schemas are those that our types derive, in the dialect that OpenAPI 3.1
//! uses (JSON Schema 2020-12), so a small assembly is all it takes.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::lines;
use super::routes::{Gives, ROUTES, Route, Takes};
use super::wire::{Problem, VERSION};

/// The whole document.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    // Within a document that says so itself.
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            let operation = operation(route, &mut schemas);
            path.insert(route.verb.name().to_owned(), operation);
        }
    }
    let schemas = schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Selvedge management API",
            "version": VERSION,
            "description": "HTTP/1.1 over the host's Unix socket, or over TLS with a client \
                certificate. Roles: `anyone` that can connect, `viewer`, `operator`; each may do \
                what those before it may.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let mut operation = Map::new();
    let mut put = |name: &str, value: Value| drop(operation.insert(name.to_owned(), value));
    put("operationId", json!(route.name));
    put("summary", json!(route.about));
    put("x-role", json!(route.role.name()));
    let parameters = parameters(route);
    if !parameters.is_empty() {
        put("parameters", json!(parameters));
    }
    let taken = match route.takes {
        Takes::Nothing => None,
        Takes::Json(schema) => Some(json!({ "application/json": { "schema": schema(schemas) } })),
        Takes::Bytes => Some(json!({ "application/octet-stream": {} })),
    };
    if let Some(content) = taken {
        put(
            "requestBody",
            json!({ "required": true, "content": content }),
        );
    }
    let mut responses = Map::new();
    let status = route.status.as_u16().to_string();
    responses.insert(status, given(&route.gives, schemas));
    if route.gives_either_way {
        responses.insert("503".to_owned(), given(&route.gives, schemas));
    }
    let problem = schemas.subschema_for::<Problem>();
    let problem = json!({
        "description": "It was not done.",
        "content": { "application/problem+json": { "schema": problem } },
    });
    responses.insert("default".to_owned(), problem);
    put("responses", Value::Object(responses));
    Value::Object(operation)
}

fn given(gives: &Gives, schemas: &mut SchemaGenerator) -> Value {
    let (description, content) = match gives {
        Gives::Nothing => return json!({ "description": "It is done." }),
        Gives::Json(schema) => (
            "What was asked for.",
            json!({ "application/json": { "schema": schema(schemas) } }),
        ),
        Gives::Lines(schema) => (
            "One JSON value a line, each of this schema. Blank lines say nothing.",
            json!({ lines::MEDIA_TYPE: { "schema": schema(schemas) } }),
        ),
        Gives::Text(media_type) => ("Text.", json!({ *media_type: {} })),
    };
    json!({ "description": description, "content": content })
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let schema = match name {
            "id" => json!({ "type": "integer", "minimum": 0 }),
            _ => json!({ "type": "string" }),
        };
        Some(json!({ "name": name, "in": "path", "required": true, "schema": schema }))
    });
    let in_query = route.query.iter().map(|parameter| {
        let one = json!({ "type": parameter.kind });
        let schema = match parameter.repeats {
            true => json!({ "type": "array", "items": one }),
            false => one,
        };
        json!({
            "name": parameter.name, "in": "query", "required": parameter.required,
            "description": parameter.about, "schema": schema,
        })
    });
    in_path.chain(in_query).collect()
}

#[cfg(test)]
mod tests;
