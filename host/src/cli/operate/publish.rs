//! `selvedge pub`: one message, from the operator.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::message::base64;
use crate::api::wire::WireMessage;
use crate::cli::client::ANSWER_MAX;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::files::complain;
use crate::cli::host_options::HostOptions;
use crate::cli::wait;
use crate::names::Topic;

/// Bytes of a payload. The host may take less.
const PAYLOAD_BYTES_MAX: u64 = 16 << 20;

/// What means standard input.
const STDIN: &str = "-";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: Topic,
    /// The payload; `-` reads it from standard input. Without it, it is empty.
    #[arg(value_name = "PAYLOAD", allow_hyphen_values = true)]
    payload: Option<String>,
    /// Read the payload from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    file: Option<PathBuf>,
    /// Keep it as the topic's value; an empty payload removes that.
    #[arg(long)]
    retain: bool,
    /// What the payload is: `application/json`.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Where an answer is expected.
    #[arg(long, value_name = "TOPIC")]
    reply_to: Option<Topic>,
    /// A property, `name=value`. May be repeated.
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    #[command(flatten)]
    host: HostOptions,
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| format!("`{text}` is not `name=value`"))?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    let message = message(args, payload(args)?);
    wait(async {
        let url = client.url(&["publish"], &[]);
        let answer = client.post(url, &message, ANSWER_MAX).await?;
        if args.host.json {
            answer.print()?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn payload(args: &Args) -> Outcome<Vec<u8>> {
    match (&args.file, args.payload.as_deref()) {
        (Some(path), _) => bounded(&mut fs_err::File::open(path)?),
        (None, Some(STDIN)) => {
            if std::io::stdin().is_terminal() {
                complain(&"reading the payload from the terminal, up to Ctrl-D");
            }
            bounded(&mut std::io::stdin().lock())
        }
        (None, Some(text)) => Ok(text.as_bytes().to_vec()),
        (None, None) => Ok(Vec::new()),
    }
}

fn bounded(from: &mut dyn std::io::Read) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        let what = format!("the payload has more than {PAYLOAD_BYTES_MAX} bytes");
        return Err(Failure::new(what, None));
    }
    Ok(bytes)
}

fn message(args: &Args, payload: Vec<u8>) -> WireMessage {
    let (text, base64) = match String::from_utf8(payload) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(base64(error.as_bytes()))),
    };
    WireMessage {
        topic: args.topic.to_string(),
        text,
        base64,
        content_type: args.content_type.clone(),
        retain: args.retain,
        published_at: None,
        reply_to: args.reply_to.as_ref().map(ToString::to_string),
        properties: args.properties.clone(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, message, payload};

    #[derive(Debug, Parser)]
    struct Pub {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        let arguments = std::iter::once("pub").chain(arguments.iter().copied());
        Ok(Pub::try_parse_from(arguments)?.args)
    }

    #[test]
    fn text_goes_as_text_and_other_bytes_in_base64() {
        let args = parse(&["a/b", "-21.5", "--retain", "--property", "unit=Cel=1"]).unwrap();
        let payload = payload(&args).unwrap();
        let json = serde_json::to_value(message(&args, payload)).unwrap();
        let expected = serde_json::json!({
            "topic": "a/b", "text": "-21.5", "retain": true, "properties": [["unit", "Cel=1"]],
        });
        assert_eq!(json, expected);
        let json = serde_json::to_value(message(&args, vec![0, 1, 2, 255])).unwrap();
        assert_eq!(json["base64"], "AAEC/w==");
        assert!(json.get("text").is_none());
    }

    #[test]
    fn what_makes_no_message_is_refused_before_a_host_is_asked() {
        for arguments in [
            &["a/#", "1"] as &[&str],
            &["a", "1", "--file", "x"],
            &["a", "1", "--property", "=x"],
            &["a", "1", "--property", "x"],
            &["a", "1", "--reply-to", "+"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
