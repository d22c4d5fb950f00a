//! The server API as an OpenAPI document, made of the definitions of its messages.

use serde_json::{Map, Value, json};

use crate::protocol::api::{BatchRequest, BatchResponse, Command, Error, Reply};
use crate::protocol::message::Message;
use crate::protocol::shape::{FieldShape, Kind, Shape, text};

/// The document, as JSON. `prefix` is where the methods are (`http_api.handler_prefix`), `is_open` whether no key is
/// asked for.
pub fn openapi(prefix: &str, version: &str, is_open: bool) -> Vec<u8> {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    paths.insert("/batch".to_owned(), path("batch", &BatchRequest::shape(), &BatchResponse::shape(), &mut schemas));
    let results = Reply::shape().fields;
    for field in Command::shape().fields {
        let Kind::Message(request) = field.kind else { continue };
        let request = request();
        let result = results.iter().find(|result| result.name == field.name).map(|result| result.kind.clone());
        let response = response(&request, result);
        paths.insert(format!("/{}", field.name), path(field.name, &request, &response, &mut schemas));
    }
    let mut keys = Map::new();
    keys.insert("header".to_owned(), json!({"type": "apiKey", "in": "header", "name": "X-API-Key"}));
    keys.insert(
        "authorization".to_owned(),
        json!({"type": "apiKey", "in": "header", "name": "Authorization", "description": "The word apikey, a blank, and the key"}),
    );
    keys.insert("query".to_owned(), json!({"type": "apiKey", "in": "query", "name": "api_key"}));
    let security: Vec<Value> =
        if is_open { Vec::new() } else { keys.keys().map(|key| json!({ key.as_str(): [] })).collect() };
    let document = json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Spindle server API",
            "version": version,
            "description": "What a backend asks of the server. Errors come in the body with status 200, unless \
                `http_api.error_mode` or the header `X-Centrifugo-Error-Mode` says `transport`.",
        },
        "servers": [{"url": if prefix.is_empty() { "/" } else { prefix }}],
        "security": security,
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": keys},
    });
    document.to_string().into_bytes()
}

/// The response that goes with a request: an error or a result.
fn response(request: &Shape, result: Option<Kind>) -> Shape {
    let name: &'static str = request.name;
    let field = |name, kind| FieldShape { name, doc: &[], kind };
    let error = field("error", Kind::Message(Error::shape));
    let fields = [Some(error), result.map(|kind| field("result", kind))].into_iter().flatten().collect();
    Shape { name, doc: request.doc, fields }
}

fn path(method: &str, request: &Shape, response: &Shape, schemas: &mut Map<String, Value>) -> Value {
    let about = text(request.doc);
    let about = about.strip_prefix("Request: ").unwrap_or(&about);
    let request_schema = reference(request, schemas);
    // The names of the answers' schemas follow the requests': `PublishRequest`, `PublishResponse`.
    let response_name = request.name.replace("Request", "Response");
    if !schemas.contains_key(&response_name) {
        let schema = object(response, schemas);
        schemas.insert(response_name.clone(), schema);
    }
    let response_schema = json!({"$ref": format!("#/components/schemas/{response_name}")});
    let body = |schema: &Value| json!({"application/json": {"schema": schema}});
    json!({"post": {
        "operationId": method,
        "summary": about,
        "parameters": [{
            "name": "X-Centrifugo-Error-Mode", "in": "header", "required": false,
            "description": "With `transport`, errors are HTTP statuses with the bare error as body",
            "schema": {"type": "string", "enum": ["transport"]},
        }],
        "requestBody": {"required": true, "content": body(&request_schema)},
        "responses": {
            "200": {"description": "The result, or an error", "content": body(&response_schema)},
            "400": {"description": "The body is no JSON of this shape"},
            "401": {"description": "The key is missing or wrong"},
            "413": {"description": "The body is longer than 64 MiB"},
        },
    }})
}

/// A reference to a message, whose schema is added when it is new.
fn reference(shape: &Shape, schemas: &mut Map<String, Value>) -> Value {
    if !schemas.contains_key(shape.name) {
        // Before its fields: one of them may be of its own kind.
        schemas.insert(shape.name.to_owned(), Value::Null);
        let schema = object(shape, schemas);
        schemas.insert(shape.name.to_owned(), schema);
    }
    json!({"$ref": format!("#/components/schemas/{}", shape.name)})
}

fn object(shape: &Shape, schemas: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in &shape.fields {
        let mut schema = schema(&field.kind, schemas);
        let about = match (text(field.doc), field.name.starts_with("b64")) {
            (about, false) => about,
            (_, true) => "The same in Base64, for what is no JSON".to_owned(),
        };
        // Nothing may stand beside a reference.
        if let Value::Object(schema) = &mut schema
            && !about.is_empty()
            && !schema.contains_key("$ref")
        {
            schema.insert("description".to_owned(), about.into());
        }
        properties.insert(field.name.to_owned(), schema);
    }
    json!({"type": "object", "description": text(shape.doc), "properties": properties})
}

fn schema(kind: &Kind, schemas: &mut Map<String, Value>) -> Value {
    match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Json => json!({}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Whole { bits, signed: true } => json!({"type": "integer", "format": format!("int{bits}")}),
        Kind::Whole { bits, signed: false } => {
            json!({"type": "integer", "format": format!("int{bits}"), "minimum": 0})
        }
        Kind::Number => json!({"type": "number", "format": "double"}),
        Kind::Message(shape) => reference(&shape(), schemas),
        Kind::List(kind) => json!({"type": "array", "items": schema(kind, schemas)}),
        Kind::Map(kind) => json!({"type": "object", "additionalProperties": schema(kind, schemas)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn document(is_open: bool) -> Value {
        serde_json::from_slice(&openapi("/api", "1.2.3", is_open)).unwrap()
    }

    #[test]
    fn every_method_is_described_and_nothing_else() {
        let document = document(false);
        let paths = document["paths"].as_object().unwrap().keys();
        let described: BTreeSet<&str> = paths.map(|path| path.strip_prefix('/').unwrap()).collect();
        assert_eq!(described, super::super::methods().collect());
        assert_eq!(document["servers"][0]["url"], "/api");
        assert_eq!(document["security"].as_array().unwrap().len(), 3);
        assert_eq!(self::document(true)["security"], json!([]));
    }

    #[test]
    fn references_lead_somewhere() {
        fn look(value: &Value, schemas: &Map<String, Value>, seen: &mut usize) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(place)) = fields.get("$ref") {
                        let name = place.strip_prefix("#/components/schemas/").unwrap();
                        assert!(schemas[name].is_object() && fields.len() == 1, "{place}");
                        *seen += 1;
                    }
                    fields.values().for_each(|value| look(value, schemas, seen));
                }
                Value::Array(items) => items.iter().for_each(|value| look(value, schemas, seen)),
                _ => {}
            }
        }
        let document = document(false);
        let mut seen = 0;
        look(&document, document["components"]["schemas"].as_object().unwrap(), &mut seen);
        assert!(seen > 60, "{seen}");
    }

    #[test]
    fn schemas_say_what_the_definitions_say() {
        let document = document(false);
        let schema = |name: &str| &document["components"]["schemas"][name]["properties"];
        let publish = schema("PublishRequest");
        assert_eq!(publish["channel"], json!({"type": "string"}));
        assert_eq!(publish["data"], json!({}));
        assert_eq!(publish["tags"], json!({"type": "object", "additionalProperties": {"type": "string"}}));
        assert_eq!(publish["version"], json!({"type": "integer", "format": "int64", "minimum": 0}));
        let result = "#/components/schemas/PublishResult";
        assert_eq!(schema("PublishResponse")["result"], json!({"$ref": result}));
        assert_eq!(schema("PublishResult")["epoch"]["description"], "\"\" without history");
        let nodes = json!({"type": "array", "items": {"$ref": "#/components/schemas/FilterNode"}});
        assert_eq!(schema("FilterNode")["nodes"], nodes);
        assert_eq!(document["paths"]["/publish"]["post"]["summary"], "publish into a channel");
    }
}
